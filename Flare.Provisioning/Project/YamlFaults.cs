using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Flare.Provisioning;

/// <summary>Reads parts of a YAML file and keeps everything that is wrong, with its line.</summary>
internal sealed class YamlFaults
{
    private const int Most = 50;

    private readonly List<(long Line, string What)> _all = [];

    public IReadOnlyList<(long Line, string What)> All => _all;

    public void Add(YamlNode at, string what) => Add(at.Start.Line, what);

    public void Add(long line, string what)
    {
        if (_all.Count < Most) _all.Add((line, what));
    }

    public Dictionary<string, YamlNode> Mapping(YamlNode node, string what, string[] known)
    {
        var members = new Dictionary<string, YamlNode>(StringComparer.Ordinal);
        if (node is not YamlMappingNode mapping)
        {
            Add(node, $"{what} must have members, such as '{known[0]}: …'");
            return members;
        }
        foreach (var (key, value) in mapping)
        {
            if (key is YamlScalarNode { Value: { } name } && known.Contains(name)) members[name] = value;
            else Add(key, $"{what} has no '{ProjectFile.Shown(key.ToString())}'; it has {string.Join(", ", known)}");
        }
        return members;
    }

    public YamlNode? Required(Dictionary<string, YamlNode> members, string key, YamlNode at)
    {
        if (members.TryGetValue(key, out var node)) return node;
        Add(at, $"'{key}' is missing");
        return null;
    }

    public string? Name(Dictionary<string, YamlNode> members, string key, YamlNode at) =>
        Required(members, key, at) is { } node ? Name(node) : null;

    public string? Name(YamlNode node)
    {
        if (Text(node) is not { } text) return null;
        if (SiteName.Fault(text) is not { } fault) return text;
        Add(node, fault);
        return null;
    }

    /// <summary>The place of a word among those that may stand here; 0 where nothing stands.</summary>
    public int OneOf(Dictionary<string, YamlNode> members, string key, string[] words)
    {
        if (!members.TryGetValue(key, out var node) || Text(node) is not { } text) return 0;
        var place = Array.IndexOf(words, text);
        if (place < 0) Add(node, $"'{key}' is '{ProjectFile.Shown(text)}'; it may be {string.Join(" or ", words)}");
        return Math.Max(place, 0);
    }

    public int Number(Dictionary<string, YamlNode> members, string key, int unless, int least, int most)
    {
        if (!members.TryGetValue(key, out var node) || Text(node) is not { } text) return unless;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            && number >= least && number <= most) return number;
        Add(node, $"'{key}' is '{ProjectFile.Shown(text)}'; it must be a number from {least} to {most}");
        return unless;
    }

    public IEnumerable<(string Text, YamlNode At)> Texts(YamlNode? node, string key, int most)
    {
        if (node is null) yield break;
        var items = node is YamlSequenceNode list ? list.Children : [node];
        if (items.Count > most) Add(node, $"'{key}' has {items.Count} entries, of at most {most}");
        foreach (var item in items.Take(most))
        {
            if (Text(item) is { } text) yield return (text, item);
        }
    }

    private string? Text(YamlNode node)
    {
        // What is not quoted and is empty, ~ or null is YAML's nothing, and not a name.
        if (node is YamlScalarNode { Value: { } text } scalar
            && (scalar.Style != ScalarStyle.Plain || text is not ("" or "~" or "null"))) return text;
        Add(node, "a text is due here");
        return null;
    }
}
