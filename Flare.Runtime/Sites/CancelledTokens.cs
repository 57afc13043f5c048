namespace Flare.Runtime;

/// <summary>Tasks that were cancelled before their offers came, the last so many of them.</summary>
internal sealed class CancelledTokens
{
    private const int Most = 1024;

    private readonly HashSet<TaskToken> _tokens = [];
    private readonly Queue<TaskToken> _order = new();

    public void Add(in TaskToken token)
    {
        if (!_tokens.Add(token)) return;
        _order.Enqueue(token);
        if (_order.Count > Most) _tokens.Remove(_order.Dequeue());
    }

    public bool Contains(in TaskToken token) => _tokens.Contains(token);

    public void Clear()
    {
        _tokens.Clear();
        _order.Clear();
    }
}
