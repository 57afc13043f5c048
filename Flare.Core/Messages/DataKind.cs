namespace Flare;

/// <summary>
/// What a <see cref="Dxo"/> carries (FLARE: DataKind). The numbers are part of the wire contract and never change.
/// </summary>
/// <remarks>
/// FLARE's whole list, so that its numbers are taken: Flare's own workflows send none of <see cref="Model"/>,
/// <see cref="Analytic"/>, <see cref="Statistics"/> and <see cref="AppDefined"/>, which are for workflows of one's own.
/// </remarks>
public enum DataKind
{
    /// <summary>A model's weights.</summary>
    Weights = 1,
    /// <summary>What is to be added to a model's weights.</summary>
    WeightDiff = 2,
    /// <summary>Named numbers: the quality of a model.</summary>
    Metrics = 3,
    /// <summary>A model with whatever belongs to it.</summary>
    Model = 4,
    /// <summary>Something logged while training.</summary>
    Analytic = 5,
    /// <summary>Several DXOs by name.</summary>
    Collection = 6,
    /// <summary>Statistics of data.</summary>
    Statistics = 7,
    /// <summary>What only the application understands.</summary>
    AppDefined = 8,
}
