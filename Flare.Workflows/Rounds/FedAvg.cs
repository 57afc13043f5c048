namespace Flare.Workflows;

/// <summary>
/// Federated averaging (McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized
/// Data"): each round's model is the mean of what the sites trained, weighted by their training steps. The mean is
/// exact: the same contributions give the same bits, in whatever order they arrive. It is
/// <see cref="ScatterAndGather"/> with the parts that this one has unless set.
/// </summary>
public sealed class FedAvg : ScatterAndGather;
