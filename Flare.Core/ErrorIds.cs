namespace Flare;

/// <summary>
/// The stable ids of Flare's errors. Each has a page in docs/errors that says what it means and what to do.
/// </summary>
public static class ErrorIds
{
    /// <summary>A safetensors file is malformed or truncated.</summary>
    public const string Safetensors = "FLARE1001";
    /// <summary>A message does not hold what its reader expects.</summary>
    public const string MalformedMessage = "FLARE1002";
    /// <summary>Encoded bytes are malformed, truncated or above a limit.</summary>
    public const string MalformedBytes = "FLARE1003";
    /// <summary>A context property was set again with another type, visibility or lifetime.</summary>
    public const string ContextProperty = "FLARE1101";
    /// <summary>The federation's configuration is incomplete or contradicts itself.</summary>
    public const string Configuration = "FLARE1201";
    /// <summary>The minimum of responses to a task cannot be reached.</summary>
    public const string TooFewResponses = "FLARE2001";
    /// <summary>A round had nothing to aggregate.</summary>
    public const string NothingToAggregate = "FLARE2002";
    /// <summary>An aggregate is not finite or cannot be formed.</summary>
    public const string Aggregation = "FLARE2003";
    /// <summary>A component stopped the job.</summary>
    public const string Panic = "FLARE2004";
    /// <summary>A filter could not do its work; the message was not passed on.</summary>
    public const string Filter = "FLARE2005";
    /// <summary>A task ended without a result.</summary>
    public const string TaskFailed = "FLARE2006";
    /// <summary>A workflow, or a part of it, threw an exception that is none of Flare's.</summary>
    public const string WorkflowFailed = "FLARE2007";
    /// <summary>The journal is damaged, of another job, or of an unknown version.</summary>
    public const string Journal = "FLARE3001";
    /// <summary>The server refuses a site: it means something else than the server, or is there already.</summary>
    public const string SiteRefused = "FLARE3002";
    /// <summary>A site's state cannot be read or kept.</summary>
    public const string SiteState = "FLARE3003";
    /// <summary>A site's operator does not approve a job.</summary>
    public const string JobNotApproved = "FLARE3004";
    /// <summary>A connection is gone, or the other end does not keep to Flare's frames.</summary>
    public const string Connection = "FLARE5001";
    /// <summary>A startup kit, a roster, a certificate or its key cannot be used.</summary>
    public const string Identity = "FLARE5002";
    /// <summary>The process that does a site's work is not there, fails, or answers what cannot be used.</summary>
    public const string ExternalProcess = "FLARE5003";
    /// <summary>Encryption, decryption or key handling failed.</summary>
    public const string Crypto = "FLARE4001";
    /// <summary>A workflow needs plaintext that encryption would hide.</summary>
    public const string PlaintextNeeded = "FLARE4002";
}
