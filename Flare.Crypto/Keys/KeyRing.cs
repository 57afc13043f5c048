using System.Diagnostics.CodeAnalysis;

namespace Flare.Crypto;

/// <summary>
/// The keys a site holds: one to encrypt with, next ones that a round may move it to, and others that only open what is
/// under them. Rotate by adding the new key with <see cref="AddNext"/>, and remove the old one when no round under it
/// is open.
/// </summary>
/// <remarks>Safe for concurrent use. The ring owns its keys: removing or disposing overwrites them.</remarks>
public sealed class KeyRing : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<KeyId, SecretKey> _keys = [];
    private readonly List<KeyId> _next = []; // the way forward: who announces rounds can lead to these, and to no other
    private SecretKey _current;

    /// <summary>A ring with one key.</summary>
    /// <param name="current">The key to encrypt with; the ring takes it over.</param>
    public KeyRing(SecretKey current)
    {
        ArgumentNullException.ThrowIfNull(current);
        _current = current;
        _keys.Add(current.Id, current);
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

    /// <summary>
    /// Adds a key that opens what is under it and never encrypts, unless the ring's owner says so with
    /// <see cref="Use"/>: an earlier key, whatever the order of adding. Adding a key twice disposes the second copy.
    /// </summary>
    /// <param name="key">The key; the ring takes it over.</param>
    public void Add(SecretKey key) => Add(key, isNext: false);

    /// <summary>
    /// Adds the key that the federation moves to next, after those that were added so before it: once a round is
    /// announced under it (<see cref="TryMoveTo"/>), the site encrypts with it. Adding a key twice disposes the second
    /// copy.
    /// </summary>
    /// <param name="key">The key; the ring takes it over.</param>
    public void AddNext(SecretKey key) => Add(key, isNext: true);

    /// <summary>
    /// Makes a key of the ring the one to encrypt with. The one before it is given up, and so are next keys that were
    /// to come before it: no announced round brings them back.
    /// </summary>
    /// <exception cref="ArgumentException">The ring does not hold the key.</exception>
    public void Use(KeyId id)
    {
        lock (_gate)
        {
            if (!_keys.ContainsKey(id))
                throw new ArgumentException($"The ring does not hold key {id}: add it first.", nameof(id));
            MoveTo(id);
        }
    }

    /// <summary>
    /// Makes the key that a round is announced under the one to encrypt with, if it is that already or was added by
    /// <see cref="AddNext"/> and not passed over since. Never another one: who announces rounds must not bring back a
    /// key that was given up.
    /// </summary>
    /// <returns>Whether <see cref="Current"/> is now the key of this id.</returns>
    public bool TryMoveTo(KeyId id)
    {
        lock (_gate)
        {
            if (_current.Id != id && !_next.Contains(id))
                return false;
            MoveTo(id);
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
                throw new InvalidOperationException(
                    $"Key {id} is the one to encrypt with: call Use with another key first.");
            if (!_keys.Remove(id, out var key))
                return false;
            _next.Remove(id);
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

    private void Add(SecretKey key, bool isNext)
    {
        ArgumentNullException.ThrowIfNull(key);
        lock (_gate)
        {
            if (isNext && key.Id != _current.Id && !_next.Contains(key.Id))
                _next.Add(key.Id);
            if (!_keys.TryAdd(key.Id, key) && !ReferenceEquals(_keys[key.Id], key))
                key.Dispose();
        }
    }

    private void MoveTo(KeyId id)
    {
        _current = _keys[id];
        _next.RemoveRange(0, _next.IndexOf(id) + 1);
    }
}
