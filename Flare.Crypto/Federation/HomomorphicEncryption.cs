using Flare.Runtime;

namespace Flare.Crypto;

/// <summary>
/// The encryption of a federation in one process, and of the application around it, which holds the key: give it to
/// <see cref="HomomorphicEncryptionExtensions.UseHomomorphicEncryption"/>, or find the one that it made with
/// <c>federation.Feature&lt;HomomorphicEncryption&gt;()</c>. A federation of several processes uses
/// <see cref="EncryptedAggregator"/> at the server, which never sees a key, and <see cref="DecryptFilter"/> and
/// <see cref="EncryptFilter"/> at the sites.
/// <para>The keys are in memory. A model that is to be opened in another process, after a resume for instance, needs
/// the same policy and key there: see <see cref="KeyFile"/>.</para>
/// </summary>
public sealed class HomomorphicEncryption : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<EncryptedAggregator> _aggregators = [];
    private EncryptionPolicy _policy;
    private bool _sized;
    private KeyId? _next;
    private ModelCipher? _cipher;

    /// <summary>Describes a federation's encryption.</summary>
    /// <param name="policy">The public parameters; if left out the defaults, with
    /// <see cref="EncryptionPolicy.MaxSites"/> the number of the federation's sites.</param>
    /// <param name="keys">The keys; they stay their owner's, and must outlive this. If left out a new key, overwritten
    /// when this is disposed: for federations without a journal.</param>
    /// <exception cref="ArgumentException">The policy is not usable; the message says why.</exception>
    public HomomorphicEncryption(EncryptionPolicy? policy = null, KeyRing? keys = null)
    {
        _policy = policy ?? new();
        _sized = policy is not null;
        if (_sized) SumScheme.For(_policy);
        OwnsKeys = keys is null;
        Keys = keys ?? new KeyRing(SecretKey.Generate());
    }

    /// <summary>The public parameters.</summary>
    public EncryptionPolicy Policy
    {
        get
        {
            lock (_gate) return _policy;
        }
    }

    /// <summary>The keys.</summary>
    public KeyRing Keys { get; }

    /// <summary>Whether the key was made here and goes with this object.</summary>
    internal bool OwnsKeys { get; }

    internal ModelCipher Cipher
    {
        get
        {
            lock (_gate)
            {
                _sized = true; // what was opened or encrypted under one policy is not under another
                return _cipher ??= new(SumScheme.For(_policy), Keys);
            }
        }
    }

    /// <summary>Whether a model is in encrypted form.</summary>
    public static bool IsEncrypted(StateDict model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return EncryptedModel.Is(model);
    }

    /// <summary>
    /// Opens a global model: the federation's, its best one, or one that was saved. What opens under the exact scheme
    /// is the sum of the uploads that it names, of one round of one job. The tensors that a partial encryption leaves
    /// in the clear are the server's word.
    /// </summary>
    /// <param name="model">The model; a plain one, as before the first round, is copied.</param>
    /// <returns>A plain model, the caller's.</returns>
    /// <exception cref="FlareCryptoException">It is malformed, altered, or under a policy or key that is not
    /// here.</exception>
    public StateDict Decrypt(StateDict model) => IsEncrypted(model)
        ? Cipher.Open(model, TimeProvider.System, ComputeScheduler.ThreadPool.ForEachPart).Model.Clone()
        : model.Clone();

    /// <summary>
    /// Moves the federation to a new key, from the next round on. What is under earlier keys can still be opened, until
    /// they are removed from <see cref="Keys"/>. Any thread may call it.
    /// </summary>
    /// <param name="next">The new key; the ring takes it over.</param>
    public void Rotate(SecretKey next)
    {
        ArgumentNullException.ThrowIfNull(next);
        var id = next.Id;
        Keys.AddNext(next);
        lock (_gate)
        {
            _next = id;
            foreach (var aggregator in _aggregators) aggregator.Key = id;
        }
    }

    /// <summary>Overwrites the keys, if they were not the caller's, and what was derived from them.</summary>
    public void Dispose()
    {
        lock (_gate) _cipher?.Dispose();
        if (OwnsKeys) Keys.Dispose();
    }

    internal EncryptedAggregator CreateAggregator()
    {
        lock (_gate)
        {
            var aggregator = new EncryptedAggregator(_policy, _next ?? Keys.Current.Id);
            _aggregators.Add(aggregator);
            return aggregator;
        }
    }

    /// <summary>What is wrong with the policy for a federation of so many sites; nothing where all is well.</summary>
    internal IEnumerable<string> Validate(int sites)
    {
        var (policy, most) = (Policy, IsSized ? Policy.MaxSites : RlweParameters.SummandLimit);
        if (sites > most)
            yield return $"there are {sites} sites, and the encryption's {nameof(policy.MaxSites)} is {most}; raise it";
        if (sites < policy.MinSites)
            yield return $"there are {sites} sites, and the encryption's {nameof(policy.MinSites)} is "
                + $"{policy.MinSites}; lower it";
    }

    /// <summary>
    /// Where no policy was given, makes <see cref="EncryptionPolicy.MaxSites"/> the number of the federation's sites.
    /// The first federation that is built decides.
    /// </summary>
    internal void SizeFor(int sites)
    {
        lock (_gate)
        {
            if (!_sized) _policy = _policy with { MaxSites = sites };
            _sized = true;
        }
    }

    private bool IsSized
    {
        get
        {
            lock (_gate) return _sized;
        }
    }
}
