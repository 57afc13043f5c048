namespace Flare.Provisioning;

/// <summary>Kinds of keys.</summary>
public enum KeyKind
{
    /// <summary>ECDSA on P-256: what one wants.</summary>
    EcdsaP256,

    /// <summary>RSA of 3,072 bits, where somebody's rules ask for RSA.</summary>
    Rsa3072,
}
