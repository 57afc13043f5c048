using System.Diagnostics.CodeAnalysis;

namespace Flare.Crypto;

/// <summary>
/// The keys a site holds: one to encrypt with, and earlier or later ones that may still have to open a sum. Rotate by adding
/// the new key, and remove the old one when no round under it is open.
/// </summary>
/// <remarks>Safe for concurrent use. The ring owns its keys: removing or disposing overwrites them.</remarks>
public sealed class KeyRing : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<KeyId, SecretKey> _keys = [];
    private readonly List<KeyId> _order = [];
    private SecretKey _current;

    /// <summary>A ring with one key.</summary>
    /// <param name="current">The key to encrypt with; the ring takes it over.</param>
    public KeyRing(SecretKey current)
    {
        ArgumentNullException.ThrowIfNull(current);
        _current = current;
        _keys.Add(current.Id, current);
        _order.Add(current.Id);
    }

    /// <summary>The key to encrypt with.</summary>
    public SecretKey Current
    {
        get
        {
            lock (_gate)
                return _current;
        }
    }

    /// <summary>The ids of all keys in the ring, in no particular order.</summary>
    public IReadOnlyCollection<KeyId> Ids
    {
        get
        {
            lock (_gate)
                return [.. _keys.Keys];
        }
    }

    /// <summary>Adds a key that can open sums but does not encrypt yet. Adding a key twice disposes the second copy.</summary>
    /// <param name="key">The key; the ring takes it over.</param>
    public void Add(SecretKey key)
    {
        ArgumentNullException.ThrowIfNull(key);
        lock (_gate)
            if (_keys.TryAdd(key.Id, key))
                _order.Add(key.Id);
            else if (!ReferenceEquals(_keys[key.Id], key))
                key.Dispose();
    }

    /// <summary>Makes a key of the ring the one to encrypt with.</summary>
    /// <exception cref="ArgumentException">The ring does not hold the key.</exception>
    public void Use(KeyId id)
    {
        lock (_gate)
            _current = _keys.TryGetValue(id, out var key)
                ? key
                : throw new ArgumentException($"The ring does not hold key {id}: add it first.", nameof(id));
    }

    /// <summary>
    /// Makes the key that a round is announced under the one to encrypt with, if it is that already or was added after it. Never an
    /// earlier one: who announces rounds must not bring back a key that was given up.
    /// </summary>
    /// <returns>Whether <see cref="Current"/> is now the key of this id.</returns>
    public bool TryMoveTo(KeyId id)
    {
        lock (_gate)
        {
            if (!_keys.TryGetValue(id, out var key) || _order.IndexOf(id) < _order.IndexOf(_current.Id))
                return false;
            _current = key;
            return true;
        }
    }

    /// <summary>Finds a key.</summary>
    public bool TryGet(KeyId id, [NotNullWhen(true)] out SecretKey? key)
    {
        lock (_gate)
            return _keys.TryGetValue(id, out key);
    }

    /// <summary>Removes and overwrites a key. What was encrypted under it cannot be opened any more.</summary>
    /// <returns>Whether the ring held it.</returns>
    /// <exception cref="InvalidOperationException">It is the current key: use another one first.</exception>
    public bool Remove(KeyId id)
    {
        lock (_gate)
        {
            if (_current.Id == id)
                throw new InvalidOperationException($"Key {id} is the one to encrypt with: call Use with another key first.");
            if (!_keys.Remove(id, out var key))
                return false;
            _order.Remove(id);
            key.Dispose();
            return true;
        }
    }

    /// <summary>Overwrites all keys.</summary>
    public void Dispose()
    {
        lock (_gate)
            foreach (var key in _keys.Values)
                key.Dispose();
    }
}
