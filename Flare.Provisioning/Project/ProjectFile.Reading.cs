using System.Globalization;
using System.Net;
using Flare.Transport;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlDotNet.RepresentationModel;

namespace Flare.Provisioning;

// A project file's YAML.
public sealed partial record ProjectFile
{
    private const int MaxDepth = 16, MaxAddresses = 16, MaxHosts = 64;

    /// <summary>Reads a project file.</summary>
    /// <exception cref="FlareException">Something is wrong with it: the message has every fault with its
    /// line.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static ProjectFile Load(string path)
    {
        if (new FileInfo(path).Length > MaxBytes)
            throw Refuse(path, [(0, $"it has more than {MaxBytes} bytes")]);
        return Parse(File.ReadAllText(path), path);
    }

    /// <summary>Reads a project file's text.</summary>
    /// <param name="yaml">The text.</param>
    /// <param name="source">What the errors call it.</param>
    /// <exception cref="FlareException">Something is wrong with it: the message has every fault with its
    /// line.</exception>
    public static ProjectFile Parse(string yaml, string source = "project file")
    {
        ArgumentNullException.ThrowIfNull(yaml);
        if (yaml.Length > MaxBytes) throw Refuse(source, [(0, $"it has more than {MaxBytes} characters")]);
        var faults = new YamlFaults();
        try
        {
            var stream = Load(new StringReader(yaml), yaml);
            if (stream.Documents is [var document] && Read(document.RootNode, faults) is { } project) return project;
            if (stream.Documents.Count != 1) faults.Add(0, "it must hold one YAML document");
        }
        catch (YamlException e)
        {
            faults.Add(e.Start.Line, Shown(e.Message));
        }
        throw Refuse(source, faults.All);
    }

    /// <exception cref="YamlException">It is no YAML, or more of it than a project needs.</exception>
    private static YamlStream Load(StringReader reader, string yaml)
    {
        try
        {
            CheckDepth(yaml);
            var stream = new YamlStream();
            stream.Load(reader);
            return stream;
        }
        // Its scanner throws what it happens to meet.
        catch (Exception e) when (e is not (YamlException or OutOfMemoryException))
        {
            throw new YamlException($"it is no YAML: {e.Message}");
        }
    }

    private static ProjectFile? Read(YamlNode root, YamlFaults faults)
    {
        var members = faults.Mapping(
            root, "the project", ["project", "keys", "rootYears", "certificateDays", "server", "sites"]);
        var project = faults.Name(members, "project", root);
        var keys = faults.OneOf(members, "keys", ["ecdsa-p256", "rsa-3072"]);
        var years = faults.Number(members, "rootYears", 10, 1, 30);
        var days = faults.Number(members, "certificateDays", 365, 1, 825);
        var server = ReadServer(faults.Required(members, "server", root), faults);
        var sites = ReadSites(faults.Required(members, "sites", root), faults);
        if (server is not null && sites.Any(s => s.Name == server.Name))
            faults.Add(members["server"], $"the server and a site are both named '{server.Name}'");
        if (faults.All.Count > 0) return null;
        return new()
        {
            Project = project!, Keys = keys == 1 ? KeyKind.Rsa3072 : KeyKind.EcdsaP256, RootYears = years,
            CertificateDays = days, Server = server!, Sites = sites,
        };
    }

    private static ProjectServer? ReadServer(YamlNode? node, YamlFaults faults)
    {
        if (node is null) return null;
        var members = faults.Mapping(node, "the server", ["name", "addresses", "hosts"]);
        var name = faults.Name(members, "name", node);
        var addresses = new List<Uri>();
        foreach (var (text, at) in faults.Texts(faults.Required(members, "addresses", node), "addresses", MaxAddresses))
        {
            if (Uri.TryCreate(text, UriKind.Absolute, out var uri) && StartupAddress.IsRight(uri)) addresses.Add(uri);
            else faults.Add(at, $"'{Shown(text)}' is no address: "
                + "'flare://host:8002', 'wss://host/flare' and 'unix:/path' are");
        }
        if (addresses.Count == 0 && faults.All.Count == 0) faults.Add(node, "the server has no address");
        var hosts = new List<string>();
        foreach (var (text, at) in faults.Texts(members.GetValueOrDefault("hosts"), "hosts", MaxHosts))
        {
            if (IPAddress.TryParse(text, out _)
                || (Uri.CheckHostName(text) == UriHostNameType.Dns && text.All(char.IsAscii)))
                hosts.Add(text);
            else faults.Add(at, $"'{Shown(text)}' is no host name and no IP address");
        }
        return name is null ? null : new(name, addresses) { Hosts = hosts };
    }

    private static List<ProjectSite> ReadSites(YamlNode? node, YamlFaults faults)
    {
        var sites = new List<ProjectSite>();
        if (node is null) return sites;
        if (node is not YamlSequenceNode list)
        {
            faults.Add(node, "'sites' must be a list");
            return sites;
        }
        foreach (var item in list)
        {
            var makesOwnKey = false;
            string? name;
            if (item is YamlScalarNode) name = faults.Name(item);
            else
            {
                var members = faults.Mapping(item, "a site", ["name", "key"]);
                name = faults.Name(members, "name", item);
                makesOwnKey = faults.OneOf(members, "key", ["kit", "site"]) == 1;
            }
            if (name is null) continue;
            if (sites.Any(s => s.Name == name)) faults.Add(item, $"'{name}' is there twice");
            else sites.Add(new(name, makesOwnKey));
        }
        if (sites.Count == 0) faults.Add(node, "there is no site");
        return sites;
    }

    // Loading recurses; a file of a million brackets must not end the process.
    private static void CheckDepth(string yaml)
    {
        var parser = new Parser(new StringReader(yaml));
        for (var depth = 0; parser.MoveNext();)
        {
            depth += parser.Current!.NestingIncrease;
            if (depth > MaxDepth)
                throw new YamlException(parser.Current.Start, parser.Current.End, $"it nests deeper than {MaxDepth}");
            if (parser.Current is AnchorAlias)
            {
                throw new YamlException(
                    parser.Current.Start, parser.Current.End, "it has an alias (*name): write it out");
            }
        }
    }

    internal static string Shown(string text)
    {
        var line = string.Concat(text.Take(120).Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c));
        return text.Length > 120 ? line + "…" : line;
    }

    private static FlareException Refuse(string source, IReadOnlyList<(long Line, string What)> faults) => new(
        ErrorIds.Configuration, string.Create(CultureInfo.InvariantCulture, $"{source}: ")
            + string.Join("; ", faults.OrderBy(f => f.Line).Select(f => f.Line > 0
                ? Invariant($"line {f.Line}: {f.What}") : f.What)) + ".");
}
