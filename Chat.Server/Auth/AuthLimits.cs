using System.Net;
using System.Text;
using Chat.Server.Connections;
using Chat.Server.Settings;

namespace Chat.Server.Auth;

/// <summary>
/// How often a password may be guessed: by account, whoever guesses, and by address, whatever account is guessed at; and how
/// many accounts an address may make. Taken before the work, and given back when it was no failure. An account that nobody
/// has is counted like any other, or its answer would tell. Thread-safe.
/// </summary>
internal sealed class AuthLimits(AttemptSettings settings, TimeProvider time)
{
    private static readonly TimeSpan Period = TimeSpan.FromHours(1);

    private readonly AttemptLimit _accounts = new(settings.FailuresPerAccountMax, Period, time);
    private readonly AttemptLimit _addresses = new(settings.FailuresPerAddressMax, Period, time);
    private readonly AttemptLimit _registrations = new(settings.RegistrationsPerAddressMax, Period, time);

    /// <summary>Takes one login. False when the account or the address has failed too often.</summary>
    public bool TryLogin(string email, IPAddress client, out int retryAfterSeconds)
    {
        byte[] address = KeyOf(client);
        if (!_addresses.TryTake(address, out retryAfterSeconds))
        {
            return false;
        }

        if (_accounts.TryTake(KeyOf(email), out retryAfterSeconds))
        {
            return true;
        }

        _addresses.GiveBack(address); // It learned nothing.
        return false;
    }

    /// <summary>The login succeeded, or was never tried.</summary>
    public void GiveBackLogin(string email, IPAddress client)
    {
        _accounts.GiveBack(KeyOf(email));
        _addresses.GiveBack(KeyOf(client));
    }

    /// <summary>
    /// Takes one registration. An address that is taken counts as a failed login: it tells that there is an account.
    /// </summary>
    public bool TryRegister(IPAddress client, out int retryAfterSeconds) =>
        _registrations.TryTake(KeyOf(client), out retryAfterSeconds);

    /// <summary>The registration told that the e-mail has an account. False when the address has been told so too often.</summary>
    public bool TryLearn(IPAddress client, out int retryAfterSeconds) => _addresses.TryTake(KeyOf(client), out retryAfterSeconds);

    /// <summary>The registration was never tried.</summary>
    public void GiveBackRegistration(IPAddress client) => _registrations.GiveBack(KeyOf(client));

    private static byte[] KeyOf(string email) => Encoding.UTF8.GetBytes(email.ToLowerInvariant());

    private static byte[] KeyOf(IPAddress client)
    {
        AddressKey key = AddressKey.Of(client);
        return [key.IsIPv6 ? (byte)6 : (byte)4, .. BitConverter.GetBytes(key.Value)];
    }
}
