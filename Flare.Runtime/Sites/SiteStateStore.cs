using System.Text;
using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>
/// A site's states by number: those that the server may still name, no more. In memory, and where there is a storage,
/// in a file each, which is written once and never changed. One call at a time, on the loop.
/// </summary>
internal sealed class SiteStateStore(string site, SiteRuntimeOptions options, ILogger logger)
{
    // Beside those that are known to be needed: of answers of which this site does not know whether they were used.
    private const int MostUncertain = 4;

    // Hashes of what was approved, a line each.
    private const string Approvals = "approved.txt";

    // Null: in its file, and not read yet.
    private readonly SortedDictionary<long, SiteStateContent?> _states = [];
    private readonly SortedSet<string> _approved = new(StringComparer.Ordinal);
    private readonly SiteStateFile _file = new(options.JobId, site);
    private FlareMap _lasting = SiteStateContent.Empty.Lasting;
    private IJournalStorage? _storage;
    private Task _atWork = Task.CompletedTask;
    private bool _isClosed;
    private long _last;

    /// <summary>A state, with what lasts as it is now.</summary>
    /// <param name="number">Its number; 0 for the empty one.</param>
    /// <exception cref="FlareException">It is not there, or cannot be read.</exception>
    public Task<SiteStateContent> ReadAsync(long number) => InTurnAsync(async () =>
    {
        if (_storage is null && options.State is { } open) await OpenAsync(open);
        if (number == 0) return SiteStateContent.Empty with { Lasting = _lasting };
        if (!_states.TryGetValue(number, out var content))
        {
            if (_storage is not null && !options.StateStartsOver) throw Lost(number);
            Log.StateLost(logger, site, number, _storage?.Location ?? "its memory");
            content = _states[number] = SiteStateContent.Empty;
        }
        content ??= _states[number] = await ReadFileAsync(_storage!, number);
        return content with { Lasting = _lasting };
    });

    /// <summary>Keeps what a task left: durable when this completes.</summary>
    /// <param name="content">What it left.</param>
    /// <param name="from">What it went on from.</param>
    /// <param name="needed">States that waiting tasks go on from.</param>
    /// <exception cref="FlareException">It cannot be written.</exception>
    public Task<SiteStateChange> WriteAsync(
        SiteStateContent content, SiteStateRef from, IReadOnlyCollection<long> needed) => InTurnAsync(async () =>
    {
        // Above every number that the server ever had, also where the states of before are lost; and a number is not
        // used again when it could not be written: it may have been.
        var number = _last = Math.Max(_last, from.Current) + 1;
        if (_storage is { } storage)
        {
            _states[number] = null;
            await WriteFileAsync(storage, number, content);
        }
        (_states[number], _lasting) = (content, content.Lasting);
        await DropAsync(from, needed);
        return new SiteStateChange(from.Current, number);
    });

    /// <summary>Whether the operator has approved what a hash names; kept with the states.</summary>
    /// <exception cref="FlareException">It cannot be read.</exception>
    public Task<bool> IsApprovedAsync(string sha256) => InTurnAsync(async () =>
    {
        if (_storage is null && options.State is { } open) await OpenAsync(open);
        return (await ReadApprovalsAsync()).Contains(sha256);
    });

    /// <summary>Remembers an approval: durable, where states are, when this completes.</summary>
    /// <exception cref="FlareException">It cannot be kept.</exception>
    public Task<bool> ApproveAsync(string sha256) => InTurnAsync(async () =>
    {
        _approved.Add(sha256);
        if (_storage is null) return true;
        try
        {
            var text = string.Concat(_approved.Select(a => $"{a}\n"));
            await _storage.ReplaceAsync(Approvals, stream =>
            {
                stream.Write(Encoding.ASCII.GetBytes(text));
                return true;
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Error($"does not keep its operator's approval in {_storage.Location}: {e.Message}", e);
        }
        return true;
    });

    private async Task<SortedSet<string>> ReadApprovalsAsync()
    {
        if (_storage is null) return _approved;
        try
        {
            if (!(await _storage.ListAsync()).Contains(Approvals)) return _approved;
            var text = await _storage.ReadAsync(Approvals, stream => new StreamReader(stream).ReadToEnd());
            _approved.UnionWith(text.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Error($"does not tell its operator's approvals, in {_storage.Location}: {e.Message}", e);
        }
        return _approved;
    }

    /// <summary>Lets go of the storage, once what is on its way to it has arrived.</summary>
    public async Task CloseAsync()
    {
        _isClosed = true;
        try
        {
            await _atWork;
        }
        catch (Exception)
        {
            // Whoever began it was told.
        }
        if (Interlocked.Exchange(ref _storage, null) is { } storage) await storage.DisposeAsync();
    }

    private async Task<T> InTurnAsync<T>(Func<Task<T>> work)
    {
        if (_isClosed) throw Stopped();
        var running = work();
        _atWork = running;
        return await running;
    }

    private async Task OpenAsync(Func<Task<IJournalStorage>> open)
    {
        IJournalStorage? storage = null;
        try
        {
            storage = await open();
            await storage.DiscardUnfinishedAsync(f => SiteStateFile.NumberOf(f) is not null);
            _states.Clear();
            foreach (var file in await storage.ListAsync())
                if (SiteStateFile.NumberOf(file) is { } number) _states[number] = null;
            var newest = _states.Count > 0 ? _states.Keys.Last() : 0;
            if (newest > 0) _states[newest] = await ReadFileAsync(storage, newest);
            if (_isClosed) throw Stopped();
            (_last, _lasting) = (Math.Max(_last, newest), newest > 0 ? _states[newest]!.Lasting : _lasting);
            (_storage, storage) = (storage, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Error($"cannot be opened: {e.Message} Name a folder that this process can create and write.", e);
        }
        finally
        {
            if (storage is not null) await storage.DisposeAsync(); // the next task tries again
        }
    }

    private async Task<SiteStateContent> ReadFileAsync(IJournalStorage storage, long number)
    {
        try
        {
            return await storage.ReadAsync(SiteStateFile.NameOf(number), stream => _file.Read(stream, number));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw Error(
                $"cannot be read: the file {SiteStateFile.NameOf(number)} in {storage.Location}: {e.Message}", e);
        }
    }

    private async Task WriteFileAsync(IJournalStorage storage, long number, SiteStateContent content)
    {
        try
        {
            await storage.ReplaceAsync(SiteStateFile.NameOf(number), stream => _file.Write(stream, number, content));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SafetensorsException)
        {
            throw Error($"cannot be kept in {storage.Location}, so the answer is not sent: {e.Message}", e);
        }
    }

    // What the server may still name: what is committed, what was gone on from, and what came after.
    private async Task DropAsync(SiteStateRef from, IReadOnlyCollection<long> needed)
    {
        var uncertain = _states.Keys.Where(n => n > from.Current).TakeLast(MostUncertain).ToArray();
        foreach (var number in _states.Keys.ToArray())
        {
            if (number == from.Current || number == from.Committed || number == from.Before
                || uncertain.Contains(number) || needed.Contains(number)) continue;
            try
            {
                if (_storage is not null) await _storage.DeleteAsync(SiteStateFile.NameOf(number));
                _states.Remove(number);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Log.StateNotDropped(logger, e, site, SiteStateFile.NameOf(number)); // it is tried again
            }
        }
    }

    private FlareException Lost(long number) => Error($"is lost: the server goes on from state {number}, and "
        + $"{_storage!.Location} has {(_states.Count == 0 ? "none" : $"{string.Join(", ", _states.Keys)}")}. Give the "
        + "site the folder that it had, or have it begin anew: UseSiteState(folder, startsOver: true).");

    private FlareException Stopped() => Error("cannot be used any more: the site has stopped.");

    private FlareException Error(string what, Exception? cause = null) =>
        new(ErrorIds.SiteState, $"The state of {site} {what}", cause);
}
