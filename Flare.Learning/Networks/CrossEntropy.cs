namespace Flare.Learning;

/// <summary>
/// Softmax and cross entropy in one (PyTorch's CrossEntropyLoss with mean reduction), over logits [classes × lanes].
/// </summary>
internal static unsafe class CrossEntropy
{
    /// <summary>The sum of the samples' losses; sets the gradient of their mean.</summary>
    public static double Gradient(
        in Pass pass, float* logits, int classes, ReadOnlySpan<int> labels, float* gradient) =>
        Lanes.Width switch
        {
            16 => Gradient<Lanes16>(pass, logits, classes, labels, gradient),
            8 => Gradient<Lanes8>(pass, logits, classes, labels, gradient),
            4 => Gradient<Lanes4>(pass, logits, classes, labels, gradient),
            _ => Gradient<Lanes1>(pass, logits, classes, labels, gradient),
        };

    private static double Gradient<T>(
        in Pass pass, float* logits, int classes, ReadOnlySpan<int> labels, float* gradient)
        where T : struct, ILanes<T>
    {
        nint lanes = pass.Lanes;
        double loss = 0;
        var sums = stackalloc float[T.Count];
        var largests = stackalloc float[T.Count];
        var share = 1f / pass.Samples;
        for (var lane = 0; lane < lanes; lane += T.Count)
        {
            var largest = T.Load(logits + lane);
            for (var c = 1; c < classes; c++) largest = T.Max(largest, T.Load(logits + c * lanes + lane));
            var sum = T.Broadcast(0);
            for (var c = 0; c < classes; c++)
            {
                var e = LaneExponential.Exp(T.Load(logits + c * lanes + lane) - largest);
                T.Store(e, gradient + c * lanes + lane);
                sum += e;
            }
            var scale = T.Broadcast(share) / sum;
            for (var c = 0; c < classes; c++)
            {
                var at = gradient + c * lanes + lane;
                T.Store(T.Load(at) * scale, at);
            }
            T.Store(sum, sums);
            T.Store(largest, largests);
            for (var i = 0; i < T.Count; i++)
            {
                var sample = lane + i;
                if (sample < pass.Samples)
                {
                    loss += Elementary.Log(sums[i]) + largests[i] - logits[labels[sample] * lanes + sample];
                    gradient[labels[sample] * lanes + sample] -= share;
                }
                else
                {
                    for (var c = 0; c < classes; c++) gradient[c * lanes + sample] = 0;
                }
            }
        }
        return loss;
    }

    /// <summary>The class of a lane's largest logit (the first of equals).</summary>
    public static int Argmax(float* logits, int classes, int lanes, int lane)
    {
        var best = 0;
        for (var c = 1; c < classes; c++)
            if (logits[(nint)c * lanes + lane] > logits[(nint)best * lanes + lane]) best = c;
        return best;
    }
}
