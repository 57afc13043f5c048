using System.Globalization;

namespace Flare.Crypto;

/// <summary>
/// Who is in a sum, and with how many steps: <c>24@site-3</c>. It stands in the ciphertext's header where the scheme
/// has the site's name, so that a sum's authentication covers the weights: nobody needs to take the server's word for
/// the divisor.
/// </summary>
internal readonly record struct Member(string Site, int Steps)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Steps}@{Site}");

    /// <summary>Reads the form that <see cref="ToString"/> writes, and no other.</summary>
    public static Member Parse(string text)
    {
        var at = text.IndexOf('@', StringComparison.Ordinal);
        if (at > 0 && int.TryParse(text.AsSpan(0, at), NumberStyles.None, CultureInfo.InvariantCulture, out var steps)
            && steps is >= 1 and <= EncryptionPolicy.MaxSteps)
        {
            var member = new Member(text[(at + 1)..], steps);
            if (member.Site.Length > 0 && member.ToString() == text) return member;
        }
        throw new FlareCryptoException(
            CryptoFault.Malformed, $"A ciphertext names '{text}', which is no member of a round.");
    }
}
