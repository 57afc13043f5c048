using System.Globalization;

namespace Flare.Crypto;

/// <summary>
/// The encryption of a federation, and of the application around it, which holds the key: give it to
/// <see cref="HomomorphicEncryptionExtensions.UseHomomorphicEncryption"/>, or find the one that it made with
/// <c>federation.Feature&lt;HomomorphicEncryption&gt;()</c>. In a federation of several processes the sites have one
/// with the key that they share, and the server, which never sees a key, one <see cref="ForServer"/>.
/// <para>The keys are in memory. A model that is to be opened in another process, after a resume for instance, needs
/// the same policy and key there: see <see cref="KeyFile"/>.</para>
/// </summary>
public sealed class HomomorphicEncryption : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<EncryptedAggregator> _aggregators = [];
    private EncryptionPolicy _policy;
    private bool _sized;
    private readonly KeyRing? _keys;
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
        _keys = keys ?? new KeyRing(SecretKey.Generate());
    }

    private HomomorphicEncryption(EncryptionPolicy? policy, KeyId key)
    {
        (_policy, _sized, _next) = (policy ?? new(), policy is not null, key);
        if (_sized) SumScheme.For(_policy);
    }

    /// <summary>What a server alone needs of its federation's encryption: it adds what it cannot open.</summary>
    /// <param name="key">The key that sites encrypt under, by its public id.</param>
    /// <param name="policy">The public parameters, the sites' own; if left out the defaults.</param>
    /// <exception cref="ArgumentException">The policy is not usable; the message says why.</exception>
    public static HomomorphicEncryption ForServer(KeyId key, EncryptionPolicy? policy = null) => new(policy, key);

    /// <summary>The public parameters.</summary>
    public EncryptionPolicy Policy
    {
        get
        {
            lock (_gate) return _policy;
        }
    }

    /// <summary>The keys.</summary>
    /// <exception cref="InvalidOperationException">It is a server's, which has none.</exception>
    public KeyRing Keys => _keys
        ?? throw new InvalidOperationException("A server alone holds no key: open the model where the sites' key is.");

    /// <summary>Whether there are keys here: not at a server alone.</summary>
    internal bool HasKeys => _keys is not null;

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
        MoveTo(id);
    }

    /// <summary>
    /// Moves a server alone to a new key, from the next round on: once all sites have added it by
    /// <see cref="KeyRing.AddNext"/>. Any thread may call it.
    /// </summary>
    /// <param name="next">The new key, by its public id.</param>
    /// <exception cref="InvalidOperationException">There are keys here: give the new one itself.</exception>
    public void Rotate(KeyId next)
    {
        if (HasKeys) throw new InvalidOperationException("The federation's keys are here: give the new key itself.");
        MoveTo(next);
    }

    private void MoveTo(KeyId id)
    {
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
        if (OwnsKeys) _keys?.Dispose();
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
    internal IEnumerable<string> Validate(int sites, bool mayBeSized)
    {
        var (policy, most) = (Policy, IsSized || !mayBeSized ? Policy.MaxSites : RlweParameters.SummandLimit);
        if (sites > most)
            yield return $"there are {sites} sites, and the encryption's {nameof(policy.MaxSites)} is {most}; raise it";
        if (sites < policy.MinSites && (mayBeSized || sites > 0))
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

    /// <summary>The settings in words; of a key only its public id.</summary>
    internal string Describe()
    {
        var policy = Policy;
        KeyId key;
        lock (_gate) key = _next ?? Keys.Current.Id;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"scheme {policy.Scheme}, bits {policy.Bits}, range {policy.Range}, out of range {policy.OutOfRange}, "
            + $"sites {policy.MinSites} to {policy.MaxSites}, security {policy.Security}, "
            + $"tensors {policy.Tensors ?? "all"}, fraction {policy.Fraction}, "
            + $"first round's steps {policy.FirstRoundSteps}, key {key}");
    }

    private bool IsSized
    {
        get
        {
            lock (_gate) return _sized;
        }
    }
}
