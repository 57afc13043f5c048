using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace Flare.Transport;

/// <summary>The file of a Unix socket: what stands in its place, and whether it may go.</summary>
internal static class SocketFile
{
    private const int StatusBytes = 512, ModeAt = 4; // of the platform's struct, which has some 130
    private const int TypeMask = 0xF000, SocketMode = 0xC000;

    /// <summary>
    /// Makes room for a socket: one that a dead server left is deleted; one that lives, and whatever else stands there,
    /// stays.
    /// </summary>
    /// <exception cref="IOException">It stays, and why.</exception>
    public static void Take(string path)
    {
        if (!Path.Exists(path) && new FileInfo(path).LinkTarget is null) return;
        if (!IsSocket(path))
        {
            throw new IOException("what stands there is no socket, and is not deleted: name another path, or delete it "
                + "yourself");
        }
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        probe.Blocking = false; // one whose queue is full lives, and would have us wait
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path); // nobody listens
            return;
        }
        catch (SocketException e) when (e.SocketErrorCode != SocketError.WouldBlock)
        {
            throw new IOException("a socket stands there, and whether anybody listens on it cannot be told ("
                + $"{e.Message}), so it is not deleted: is it another user's?", e);
        }
        throw new IOException("another process listens on it");
    }

    /// <summary>Deletes the socket, unless something else has taken its place.</summary>
    public static void Leave(string path)
    {
        if (IsSocket(path)) File.Delete(path);
    }

    // Links are not followed.
    private static bool IsSocket(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            var file = new FileInfo(path);
            return file.Exists && file.Attributes.HasFlag(FileAttributes.ReparsePoint) && file.LinkTarget is null;
        }
        // .NET tells links and folders from files, and sockets not: the library that it asks does.
        var status = new byte[StatusBytes];
        try
        {
            var read = ReadStatus([.. Encoding.UTF8.GetBytes(path), 0], status) == 0;
            return read && (BitConverter.ToInt32(status, ModeAt) & TypeMask) == SocketMode;
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            return false; // what cannot be told stays
        }
    }

    [DllImport("libSystem.Native", EntryPoint = "SystemNative_LStat")]
    private static extern int ReadStatus(byte[] path, byte[] status);
}
