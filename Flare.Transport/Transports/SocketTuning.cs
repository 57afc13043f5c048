using System.Net.Sockets;

namespace Flare.Transport;

/// <summary>Options of a TCP socket that carries frames.</summary>
internal static class SocketTuning
{
    // Bytes that are written and not sent yet, above which the system takes no more. What is in flight is not bounded
    // by it, so links of long delay keep their speed.
    private const int UnsentBytes = 64 * 1024;
    private const int Tcp = 6;
    private const int LinuxNotSentLowAt = 25, MacNotSentLowAt = 0x201;

    /// <summary>Sets them.</summary>
    /// <returns>Whether the system bounds what is unsent.</returns>
    public static bool Apply(Socket socket)
    {
        if (socket.AddressFamily == AddressFamily.Unix) return true; // a send buffer of some 200 KB, read at once
        socket.NoDelay = true;
        var option = OperatingSystem.IsLinux() ? LinuxNotSentLowAt
            : OperatingSystem.IsMacOS() || OperatingSystem.IsIOS() ? MacNotSentLowAt : 0;
        if (option == 0) return false;
        try
        {
            socket.SetRawSocketOption(Tcp, option, BitConverter.GetBytes(UnsentBytes));
            return true;
        }
        catch (SocketException)
        {
            return false; // an old kernel: the sender paces itself
        }
    }
}
