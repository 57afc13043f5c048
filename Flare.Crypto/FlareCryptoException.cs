namespace Flare.Crypto;

/// <summary>What Flare.Crypto found wrong.</summary>
public enum CryptoFault
{
    /// <summary>
    /// The bytes are not a key file, ciphertext or sum: truncated, unknown version, inconsistent lengths.
    /// </summary>
    Malformed = 1,

    /// <summary>A ciphertext was made under other parameters.</summary>
    WrongParameters = 2,

    /// <summary>A ciphertext was made under a key that is not the one expected, or not in the key ring.</summary>
    WrongKey = 3,

    /// <summary>A ciphertext declares another job, round or number of elements.</summary>
    WrongRound = 4,

    /// <summary>A sum is not of the expected sites.</summary>
    WrongSites = 5,

    /// <summary>A site or a seed occurs twice. Two uploads under one key and seed reveal their difference.</summary>
    Repeated = 6,

    /// <summary>More uploads than the parameters' bound: the sum would no longer decrypt exactly.</summary>
    TooManySummands = 7,

    /// <summary>
    /// Authentication failed: bytes were altered, or the passphrase or wrapping key is not the right one.
    /// </summary>
    Altered = 8,

    /// <summary>
    /// A value to encrypt is NaN or infinite, or outside the fixed-point range where clipping was not allowed.
    /// </summary>
    ValueOutOfRange = 9,

    /// <summary>A task brings no agreement on encryption, or one that makes no sense.</summary>
    NoAgreement = 10,

    /// <summary>
    /// What is to be sent is not of a form that encryption takes, or part of it would have left the site in the clear.
    /// </summary>
    NotEncryptable = 11,
}

/// <summary>
/// The one exception for input that cannot be trusted: keys, ciphertexts, sums and tasks from elsewhere, and values
/// that cannot be encrypted. Its id is <see cref="ErrorIds.Crypto"/>. Retrying with the same bytes does not help.
/// Misuse of the API throws the usual argument exceptions.
/// </summary>
public sealed class FlareCryptoException : FlareException
{
    internal FlareCryptoException(CryptoFault fault, string message, Exception? inner = null)
        : base(ErrorIds.Crypto, message, inner) => Fault = fault;

    /// <summary>What was wrong.</summary>
    public CryptoFault Fault { get; }
}
