namespace Flare.Transport;

/// <summary>What a member of a project is.</summary>
public enum FlareRole
{
    /// <summary>It serves jobs; sites connect to it.</summary>
    Server,

    /// <summary>It has data, and trains on it.</summary>
    Site,
}

internal static class FlareRoles
{
    /// <summary>The role's word in names, kits and rosters.</summary>
    public static string Word(this FlareRole role) => role == FlareRole.Server ? "server" : "site";

    /// <summary>The role of a word; null where it is none.</summary>
    public static FlareRole? Read(string word) => word switch
    {
        "server" => FlareRole.Server,
        "site" => FlareRole.Site,
        _ => null,
    };
}
