namespace Flare;

/// <summary>A site that is being added to a federation.</summary>
/// <param name="Index">Its number, from 0.</param>
/// <param name="Name">Its name, such as <c>site-1</c>.</param>
public sealed record SiteInfo(int Index, string Name);
