namespace Flare.Runtime;

/// <summary>A snapshot file as a record names it.</summary>
/// <param name="Name">The file's name.</param>
/// <param name="Length">Its length in bytes.</param>
/// <param name="Checksum">CRC-32C of its bytes.</param>
internal sealed record SnapshotFile(string Name, long Length, long Checksum);

/// <summary>The record of a committed round.</summary>
/// <param name="Number">Counts the job's commits from 1 and never repeats; part of the snapshots' file names.</param>
/// <param name="Workflow">The workflow's index.</param>
/// <param name="Round">The round.</param>
/// <param name="Snapshots">The files of the named state dicts: the model first, then in ordinal order of the
/// names.</param>
/// <param name="Report">The round's report.</param>
/// <param name="Values">The controller's own values.</param>
internal sealed record CommittedRound(
    long Number, int Workflow, int Round, IReadOnlyList<(string Name, SnapshotFile File)> Snapshots, FlareMap Report,
    FlareMap Values)
{
    public FlareMap ToMap() => new()
    {
        ["number"] = Number,
        ["workflow"] = Workflow,
        ["round"] = Round,
        ["snapshots"] = FlareValue.List([.. Snapshots.Select(s => (FlareValue)new FlareMap
        {
            ["name"] = s.Name,
            ["file"] = s.File.Name,
            ["length"] = s.File.Length,
            ["crc32c"] = s.File.Checksum,
        })]),
        ["report"] = Report,
        ["values"] = Values,
    };

    public static CommittedRound FromMap(FlareMap map) => new(
        map["number"].AsInteger(),
        map.Int("workflow"),
        map.Int("round"),
        [.. map["snapshots"].AsList().Select(s => s.AsMap()).Select(s =>
            (s["name"].AsText(),
                new SnapshotFile(s["file"].AsText(), s["length"].AsInteger(), s["crc32c"].AsInteger())))],
        map["report"].AsMap(),
        map["values"].AsMap());
}

internal static class JournalMaps
{
    /// <summary>An index: an integer of at least 0 that fits 31 bits.</summary>
    public static int Int(this FlareMap map, string name) =>
        map[name].AsInteger() is >= 0 and <= int.MaxValue and var value
        ? (int)value
        : throw new FlareException(ErrorIds.MalformedMessage, $"The value '{name}' is {map[name]}, which is no index.");
}
