namespace Flare.Learning;

/// <summary>One trained tensor of a network with its gradient: live views, valid for the network's life.</summary>
/// <param name="Value">The tensor; the next pass reads what is written here.</param>
/// <param name="Gradient">Its gradient, of the same shape, set by <see cref="Sequential.Backpropagate"/>.</param>
public readonly record struct Parameter(TensorView Value, TensorView Gradient)
{
    /// <summary>The tensor's name.</summary>
    public string Name => Value.Name;
}
