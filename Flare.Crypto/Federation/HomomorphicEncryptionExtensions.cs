namespace Flare.Crypto;

/// <summary>Encryption in one line.</summary>
public static class HomomorphicEncryptionExtensions
{
    /// <summary>
    /// Encrypts what sites send, and the global model with it: the server adds what it cannot read. Any workflow that
    /// only averages works as it is, FedAvg for one; the federation's model is then opened with
    /// <see cref="HomomorphicEncryption.Decrypt"/>. A workflow that reads values is refused when the federation is
    /// built, with <see cref="ErrorIds.PlaintextNeeded"/>.
    /// <para>Filters of sites see weights, in plain, whether they are added before or after this. Filters at the server
    /// see ciphertext.</para>
    /// </summary>
    /// <param name="builder">The federation.</param>
    /// <param name="encryption">Policy and keys, the caller's; if left out the defaults with a new key, which the
    /// federation disposes of; with a journal it needs a key that is kept.</param>
    /// <exception cref="InvalidOperationException">The federation is encrypted already.</exception>
    public static FederationBuilder UseHomomorphicEncryption(
        this FederationBuilder builder, HomomorphicEncryption? encryption = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var owned = encryption is null;
        var chosen = encryption ?? new HomomorphicEncryption();
        return builder
            .AddFeature(chosen, owned)
            .AddCheck(f => chosen.Validate(f.SiteCount))
            .UseAggregator(chosen.CreateAggregator)
            .AddCheck(
                f => f.Controllers.Where(c => c.PlaintextAccess != PlaintextAccess.None).Select(NeedsPlaintext)
                .ToArray(),
                ErrorIds.PlaintextNeeded)
            .AddCheck(f => chosen.OwnsKeys && f.KeepsJournal ? [NeedsKeptKey] : [])
            .ConfigureSites((site, _) =>
            {
                chosen.SizeFor(builder.SiteCount); // all checks have passed, and the number is final
                site
                    .AddOutermostFilter(FilterPlace.SiteIn, new DecryptFilter(chosen.Cipher))
                    .AddOutermostFilter(FilterPlace.SiteOut, new EncryptFilter(chosen.Cipher));
            });
    }

    private const string NeedsKeptKey =
        "the journal would hold a model under a key that goes with this process, so nobody could open it or go on:"
        + " keep a key in a KeyFile, and call "
        + "UseHomomorphicEncryption(new HomomorphicEncryption(policy, new KeyRing(key)))";

    private static string NeedsPlaintext(Controller controller) =>
        $"the workflow {controller.Name} reads "
            + $"{(controller.PlaintextAccess == PlaintextAccess.Sums ? "sums of contributions" : "contributions")}, "
            + "which encryption hides: use one that only averages, such as FedAvg with its own aggregator, or leave "
            + "encryption out";
}
