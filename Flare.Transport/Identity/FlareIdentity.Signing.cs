using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

// Proving who one is where TLS cannot: behind a proxy that opens it, and to those whom a server only relays to.
public sealed partial class FlareIdentity
{
    /// <summary>How many bytes a nonce has at least: 16.</summary>
    public const int LeastNonceBytes = 16;

    private const string ChannelPurpose = "channel";

    /// <summary>Signs a message with the certificate's key: ECDSA, or RSA with PSS, over SHA-256.</summary>
    /// <param name="purpose">What the signature is for. One that was made for another purpose, project or member does
    /// not hold.</param>
    /// <param name="message">What is signed.</param>
    /// <exception cref="CryptographicException">The key does not sign, as when its device is gone.</exception>
    public byte[] Sign(string purpose, ReadOnlySpan<byte> message)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        ArgumentException.ThrowIfNullOrEmpty(purpose);
        return Signatures.Sign(Certificate, Message(purpose, Member, message));
    }

    /// <summary>
    /// Whether a peer has signed a message. The certificate is not looked at otherwise: <see cref="Verify"/> it first.
    /// </summary>
    /// <param name="peer">The peer's certificate.</param>
    /// <param name="purpose">What the signature is for.</param>
    /// <param name="message">What is signed.</param>
    /// <param name="signature">The signature.</param>
    public bool VerifySignature(
        X509Certificate2 peer, string purpose, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentException.ThrowIfNullOrEmpty(purpose);
        return CertifiedName.Read(peer, out _) is { } name
            && Signatures.Verify(peer, Message(purpose, name, message), signature);
    }

    /// <summary>
    /// Proves this end of a channel to the other: signs both nonces with both names. What one end signs is no proof of
    /// the other, nor of any other channel.
    /// </summary>
    /// <param name="peer">Who is to be convinced.</param>
    /// <param name="ownNonce">What this end drew for this channel; at least 16 bytes.</param>
    /// <param name="peerNonce">What the other end drew for it; at least 16 bytes.</param>
    /// <exception cref="ArgumentException">The own nonce is shorter.</exception>
    /// <exception cref="FlareException">The other end's nonce is shorter, or an echo of this end's.</exception>
    public byte[] SignChannel(CertifiedName peer, ReadOnlySpan<byte> ownNonce, ReadOnlySpan<byte> peerNonce)
    {
        ArgumentNullException.ThrowIfNull(peer);
        if (!AreNonces(ownNonce, peerNonce))
        {
            throw Words.Refuse($"The nonce of {peer}", $"it has {peerNonce.Length} bytes, of at least "
                + $"{LeastNonceBytes}, or is an echo of this end's");
        }
        return Sign(ChannelPurpose, Channel(peer, ownNonce, peerNonce));
    }

    /// <summary>Whether a peer has proven its end of a channel to this one.</summary>
    /// <param name="peer">The peer's certificate; <see cref="Verify"/> it first.</param>
    /// <param name="ownNonce">What this end drew for this channel; at least 16 bytes.</param>
    /// <param name="peerNonce">What the other end drew for it; at least 16 bytes.</param>
    /// <param name="signature">What the peer sent.</param>
    /// <returns>False also where the other end's nonce is shorter, or an echo of this end's.</returns>
    /// <exception cref="ArgumentException">The own nonce is shorter.</exception>
    public bool VerifyChannel(
        X509Certificate2 peer, ReadOnlySpan<byte> ownNonce, ReadOnlySpan<byte> peerNonce,
        ReadOnlySpan<byte> signature) =>
        AreNonces(ownNonce, peerNonce)
        && VerifySignature(peer, ChannelPurpose, Channel(Member, peerNonce, ownNonce), signature);

    private static bool AreNonces(ReadOnlySpan<byte> own, ReadOnlySpan<byte> peers)
    {
        if (own.Length < LeastNonceBytes)
            throw new ArgumentException($"A nonce has at least {LeastNonceBytes} bytes.", nameof(own));
        return peers.Length >= LeastNonceBytes && !peers.SequenceEqual(own);
    }

    // The signer's nonce first, and who is to be convinced.
    private static byte[] Channel(CertifiedName convinced, ReadOnlySpan<byte> signers, ReadOnlySpan<byte> others) =>
        new SignedFields("flare channel v1").Add(convinced.Uri).Add(signers).Add(others).ToArray();

    private byte[] Message(string purpose, CertifiedName signer, ReadOnlySpan<byte> message) =>
        new SignedFields("flare identity signature v1")
            .Add(purpose).Add(Project).Add(signer.Uri).Add(message).ToArray();
}
