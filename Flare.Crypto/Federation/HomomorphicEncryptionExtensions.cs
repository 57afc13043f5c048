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
    /// <para>A site alone needs the policy and the key that the sites share, and a server alone the policy and the
    /// key's id: <see cref="HomomorphicEncryption.ForServer"/>.</para>
    /// </summary>
    /// <typeparam name="TBuilder">The builder.</typeparam>
    /// <param name="builder">The federation, the server or the site.</param>
    /// <param name="encryption">Policy and keys, the caller's; if left out the defaults with a new key, which the
    /// federation disposes of: for a federation in one process, and without a journal.</param>
    /// <exception cref="InvalidOperationException">The federation is encrypted already.</exception>
    public static TBuilder UseHomomorphicEncryption<TBuilder>(
        this TBuilder builder, HomomorphicEncryption? encryption = null) where TBuilder : IExtensible
    {
        ArgumentNullException.ThrowIfNull(builder);
        var chosen = encryption ?? new HomomorphicEncryption();
        try
        {
            builder.Extend(new Extension(chosen, isOwned: encryption is null));
        }
        catch
        {
            if (encryption is null) chosen.Dispose(); // nobody else knows of its key
            throw;
        }
        return builder;
    }

    private sealed class Extension(HomomorphicEncryption encryption, bool isOwned) : IFederationExtension
    {
        private const string Keep = "keep a key in a KeyFile, and call UseHomomorphicEncryption(";

        private const string NeedsKeptKey =
            "the journal would hold a model under a key that goes with this process, so nobody could open it or go on: "
            + Keep + "new HomomorphicEncryption(policy, new KeyRing(key)))";

        private const string ServerNeedsKey =
            "a server alone cannot make the key, which is the sites': "
            + Keep + "HomomorphicEncryption.ForServer(key.Id, policy)) here and the key's own at the sites";

        private const string SiteNeedsKey =
            "a site alone needs the key that the sites share, and the server's policy: "
            + Keep + "new HomomorphicEncryption(policy, new KeyRing(key)))";

        public void Configure(IServerBuilder server)
        {
            server.AddFeature(encryption, isOwned);
            server.Describe("encryption", encryption.Describe);
            server.RequirePolicy(Fingerprint);
            server.UseAggregator(encryption.CreateAggregator);
            server.AddCheck(() => encryption.Validate(server.SiteCount, server.IsInProcess));
            server.AddCheck(
                () => server.Controllers.Where(c => c.PlaintextAccess != PlaintextAccess.None).Select(NeedsPlaintext),
                ErrorIds.PlaintextNeeded);
            server.AddCheck(() => !server.IsInProcess && encryption.OwnsKeys ? [ServerNeedsKey]
                : encryption.OwnsKeys && server.KeepsJournal ? [NeedsKeptKey] : []);
        }

        public void Configure(ISiteBuilder sites)
        {
            if (!sites.IsInProcess) // in one process the server's half has
            {
                sites.AddFeature(encryption, isOwned);
                sites.Describe("encryption", encryption.Describe);
                sites.RequirePolicy(Fingerprint);
            }
            sites.AddCheck(
                () => !encryption.HasKeys || (!sites.IsInProcess && encryption.OwnsKeys) ? [SiteNeedsKey] : []);
            sites.ConfigureSites(site =>
            {
                // all checks have passed: the number is final
                if (sites.IsInProcess) encryption.SizeFor(sites.SiteCount);
                site
                    .AddOutermostFilter(FilterPlace.SiteIn, new DecryptFilter(encryption.Cipher))
                    .AddOutermostFilter(FilterPlace.SiteOut, new EncryptFilter(encryption.Cipher));
            });
        }

        // A site without it would send its updates in plain.
        private string Fingerprint() => $"encryption {encryption.Policy.Fingerprint}";

        private static string NeedsPlaintext(Controller controller)
        {
            var what = controller.PlaintextAccess == PlaintextAccess.Sums ? "sums of contributions" : "contributions";
            return controller.PlaintextReason is { } parts
                ? $"the workflow {controller.Name} reads {what} by its {parts}, which encryption hides: leave that "
                    + "unset, or leave encryption out"
                : $"the workflow {controller.Name} reads {what}, which encryption hides: use one that only averages, "
                    + "such as FedAvg with its own aggregator, or leave encryption out";
        }
    }
}
