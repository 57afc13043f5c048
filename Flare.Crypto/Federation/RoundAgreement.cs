using System.Numerics;

namespace Flare.Crypto;

/// <summary>
/// What server and sites agree on for a round. It is a public context property of the server, so the runtime attaches
/// it to every task: nothing that a server could forget to add.
/// </summary>
internal sealed record RoundAgreement(string Policy, KeyId Key, long Number, int Reference)
{
    private const string Name = EncryptedForm.TensorName; // the runtime tells by it that a workflow takes ciphertext

    private static readonly FLContextKey<FlareMap> Property =
        new(Name, PropertyVisibility.Public, PropertyLifetime.Run);

    /// <summary>Attaches this to every task from now on.</summary>
    public void Publish(FLContext server) => server.Set(Property, new FlareMap
    {
        ["policy"] = Policy,
        ["key"] = Key.ToString(),
        ["number"] = Number,
        ["reference"] = Reference,
    });

    /// <summary>What the task at hand says.</summary>
    /// <exception cref="FlareCryptoException">It says nothing, or nothing that makes sense.</exception>
    public static RoundAgreement Of(FLContext site)
    {
        if (!site.PeerProperties.TryGet(Name, out var value))
            throw new FlareCryptoException(
                CryptoFault.NoAgreement,
                $"The task '{site.TaskName}' brings no agreement on encryption: the server does not encrypt, or its "
                    + "workflow does not use the encrypted aggregator. Nothing is done without it.");
        try
        {
            var map = value.AsMap();
            var agreement = new RoundAgreement(
                map["policy"].AsText(),
                KeyId.Parse(map["key"].AsText()),
                map["number"].AsInteger(),
                checked((int)map["reference"].AsInteger()));
            if (agreement.Number >= 1 && IsReference(agreement.Reference)) return agreement;
        }
        catch (Exception e) when (e is FormatException or OverflowException or FlareException)
        {
            throw new FlareCryptoException(
                CryptoFault.NoAgreement, $"The task's agreement on encryption is malformed: {e.Message}", e);
        }
        throw new FlareCryptoException(
            CryptoFault.NoAgreement, "The task's agreement on encryption is malformed: a number is out of range.");
    }

    public static bool IsReference(int steps)
        => steps is >= 1 and <= EncryptionPolicy.MaxSteps && BitOperations.IsPow2(steps);

    /// <summary>The reference for sites that take up to so many steps.</summary>
    public static int ReferenceFor(long steps)
        => (int)Math.Min(EncryptionPolicy.MaxSteps, (long)BitOperations.RoundUpToPowerOf2((ulong)steps));
}
