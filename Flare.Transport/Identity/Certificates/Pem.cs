using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>Certificates as text.</summary>
internal static class Pem
{
    private const string Label = "CERTIFICATE";
    private const int MaxBytes = 16 * 1024;

    public static string Write(ReadOnlyMemory<byte> certificate) => PemEncoding.WriteString(Label, certificate.Span);

    /// <summary>The bytes of one certificate, and nothing but one.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static ReadOnlyMemory<byte> Read(string text)
    {
        var bytes = ReadAny(text, MaxBytes, Label);
        try
        {
            using var certificate = X509CertificateLoader.LoadCertificate(bytes);
            // What is read again is written again, so there is one way to write it.
            if (certificate.RawData.AsSpan().SequenceEqual(bytes)) return bytes;
        }
        catch (CryptographicException)
        {
        }
        throw new FormatException("its bytes are no X.509 certificate");
    }

    /// <summary>The bytes of a text that has nothing but one block of one of these labels.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static byte[] ReadAny(string text, int most, params ReadOnlySpan<string> labels)
    {
        if (!PemEncoding.TryFind(text, out var fields)) throw new FormatException("it is no PEM text");
        var label = text[fields.Label];
        if (!labels.Contains(label))
            throw new FormatException($"its PEM is of a '{Words.Of(label)}', and a '{labels[0]}' is due");
        if (!text.AsSpan(0, fields.Location.Start.Value).IsWhiteSpace()
            || !text.AsSpan(fields.Location.End.Value).IsWhiteSpace())
            throw new FormatException("it has more than one PEM block, or other text around it");
        if (fields.DecodedDataLength > most)
            throw new FormatException($"it has {fields.DecodedDataLength} bytes, of at most {most}");
        return Convert.FromBase64String(text[fields.Base64Data]);
    }
}
