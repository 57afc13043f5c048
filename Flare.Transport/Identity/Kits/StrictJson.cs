using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Flare.Transport;

/// <summary>Files of JSON that may come from anybody.</summary>
internal static class StrictJson
{
    // For people's eyes: nothing of these files is ever put into a page.
    private static readonly JsonWriterOptions Writing = new()
    {
        Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <exception cref="FlareException">It is too large, or no such file.</exception>
    public static T Read<T>(ReadOnlySpan<byte> utf8, JsonTypeInfo<T> type, int most, string source)
    {
        if (utf8.Length > most) throw Words.Refuse(source, $"it has {utf8.Length} bytes, of at most {most}");
        try
        {
            var file = JsonSerializer.Deserialize(utf8, type) ?? throw Words.Refuse(source, "it holds nothing");
            NoNulls(file, source);
            return file;
        }
        catch (JsonException e)
        {
            throw Words.Refuse(
                source, $"it is no JSON of the kind that is due: {Words.Of(e.Message, 300).TrimEnd('.')}", e);
        }
    }

    public static byte[] Write<T>(T file, JsonTypeInfo<T> type)
    {
        var bytes = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes, Writing)) JsonSerializer.Serialize(writer, file, type);
        bytes.Write("\n"u8);
        return bytes.WrittenSpan.ToArray();
    }

    // Null within an array is not covered by nullable annotations.
    private static void NoNulls<T>(T file, string source)
    {
        var roster = (file as KitFile)?.Roster ?? file as RosterFile;
        var isWhole = roster is null || (roster.Members.All(m => m is not null && m.Keys.All(k => k is not null)
            && m.FurtherKeys?.All(k => k is not null) != false) && roster.Revoked.All(r => r is not null)
            && roster.Signature.Certificates.All(c => c is not null));
        if (file is KitFile kit)
        {
            isWhole &= kit.Addresses.All(a => a is not null) && kit.Certificates.All(c => c is not null)
                && kit.TrustRoots.All(c => c is not null) && kit.Signature.Certificates.All(c => c is not null);
        }
        if (!isWhole) throw Words.Refuse(source, "it has a null within a list");
    }
}
