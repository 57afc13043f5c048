using System.Numerics;

namespace Flare.Learning;

/// <summary>Softmax and cross entropy in one (PyTorch's CrossEntropyLoss with mean reduction), over logits [classes × lanes].</summary>
internal static unsafe class CrossEntropy
{
    /// <summary>The sum of the samples' losses; sets the gradient of their mean.</summary>
    public static double Gradient(in Pass pass, float* logits, int classes, ReadOnlySpan<int> labels, float* gradient)
    {
        nint lanes = pass.Lanes;
        double loss = 0;
        var sums = stackalloc float[Vector<float>.Count];
        var largests = stackalloc float[Vector<float>.Count];
        var share = 1f / pass.Samples;
        for (var lane = 0; lane < lanes; lane += Vector<float>.Count)
        {
            var largest = Vector.Load(logits + lane);
            for (var c = 1; c < classes; c++) largest = Vector.Max(largest, Vector.Load(logits + c * lanes + lane));
            var sum = Vector<float>.Zero;
            for (var c = 0; c < classes; c++)
            {
                var e = Vector.Exp(Vector.Load(logits + c * lanes + lane) - largest);
                e.Store(gradient + c * lanes + lane);
                sum += e;
            }
            var scale = new Vector<float>(share) / sum;
            for (var c = 0; c < classes; c++) (Vector.Load(gradient + c * lanes + lane) * scale).Store(gradient + c * lanes + lane);
            sum.Store(sums);
            largest.Store(largests);
            for (var i = 0; i < Vector<float>.Count; i++)
            {
                var sample = lane + i;
                if (sample < pass.Samples)
                {
                    loss += Math.Log(sums[i]) + largests[i] - logits[labels[sample] * lanes + sample];
                    gradient[labels[sample] * lanes + sample] -= share;
                }
                else
                    for (var c = 0; c < classes; c++) gradient[c * lanes + sample] = 0;
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
