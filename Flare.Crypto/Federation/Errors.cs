namespace Flare.Crypto;

/// <summary>Errors of encryption in federations, under their id.</summary>
internal static class Errors
{
    public static FlareException Crypto(string message, Exception? cause = null) => new(ErrorIds.Crypto, message, cause);
}
