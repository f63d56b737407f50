using System.Buffers;
using System.Collections.Immutable;
using System.Net;
using System.Text;
using Chat.Protocol.Http;
using Chat.Server.Connections;

namespace Chat.Server.Tests.Connections;

public sealed class ClientAddressesTests
{
    private static readonly ImmutableArray<IPNetwork> Ours = [IPNetwork.Parse("10.0.0.0/8"), IPNetwork.Parse("2001:db8:1::/48")];

    [Theory]
    [InlineData("192.0.2.1", "X-Forwarded-For: 198.51.100.9", "192.0.2.1")] // A stranger is not believed.
    [InlineData("10.0.0.1", "", "10.0.0.1")]
    [InlineData("10.0.0.1", "X-Forwarded-For: 198.51.100.9", "198.51.100.9")]
    [InlineData("10.0.0.1", "X-Forwarded-For: 1.1.1.1, 198.51.100.9", "198.51.100.9")] // The first is the client's own word.
    [InlineData("10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 198.51.100.9", "198.51.100.9")]
    [InlineData("10.0.0.1", "X-Forwarded-For: 1.1.1.1, 198.51.100.9, 10.0.0.2", "198.51.100.9")]
    [InlineData("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2", "10.0.0.3")]
    [InlineData("10.0.0.1", "X-Forwarded-For: 1.1.1.1, nonsense", "10.0.0.1")]
    [InlineData("10.0.0.1", "X-Forwarded-For: 1.1.1.1, nonsense, 10.0.0.2", "10.0.0.2")]
    [InlineData("10.0.0.1", "Forwarded: for=198.51.100.9", "10.0.0.1")] // Not the field that ours write.
    [InlineData("2001:db8:1::5", "X-Forwarded-For: 2001:db8:2::7", "2001:db8:2::7")]
    public void The_client_is_who_the_last_of_our_proxies_names(string peer, string line, string client) =>
        Assert.Equal(client, Resolve(new ClientAddresses(Ours, readsForwarded: false, expectsProxyHeader: false), peer, line));

    [Theory]
    [InlineData("Forwarded: for=1.1.1.1, for=\"198.51.100.9:80\";proto=https", "198.51.100.9")]
    [InlineData("Forwarded: for=1.1.1.1, for=unknown", "10.0.0.1")]
    [InlineData("X-Forwarded-For: 198.51.100.9", "10.0.0.1")]
    public void Forwarded_is_read_when_ours_write_that(string line, string client) =>
        Assert.Equal(client, Resolve(new ClientAddresses(Ours, readsForwarded: true, expectsProxyHeader: false), "10.0.0.1", line));

    [Fact]
    public void Addresses_count_together_by_IPv4_address_and_by_IPv6_network()
    {
        Assert.Equal(AddressKey.Of(IPAddress.Parse("2001:db8::1")), AddressKey.Of(IPAddress.Parse("2001:db8::ffff:1")));
        Assert.NotEqual(AddressKey.Of(IPAddress.Parse("2001:db8::1")), AddressKey.Of(IPAddress.Parse("2001:db8:0:1::1")));
        Assert.NotEqual(AddressKey.Of(IPAddress.Parse("192.0.2.1")), AddressKey.Of(IPAddress.Parse("192.0.2.2")));
        Assert.NotEqual(AddressKey.Of(IPAddress.Any), AddressKey.Of(IPAddress.IPv6Any));
        Assert.Equal(IPAddress.Parse("192.0.2.1"), ClientAddresses.PeerOf(new IPEndPoint(IPAddress.Parse("::ffff:192.0.2.1"), 1)));
    }

    [Fact]
    public void An_address_that_left_may_come_again_and_leaves_nothing_behind()
    {
        var limit = new AddressLimit(2);
        IPAddress address = IPAddress.Parse("192.0.2.1");
        Assert.True(limit.TryEnter(address, out IDisposable? first));
        Assert.True(limit.TryEnter(address, out IDisposable? second));
        Assert.False(limit.TryEnter(address, out _));
        Assert.True(limit.TryEnter(IPAddress.Parse("192.0.2.2"), out IDisposable? other));

        first!.Dispose();
        Assert.True(limit.TryEnter(address, out IDisposable? third));
        second!.Dispose();
        third!.Dispose();
        other!.Dispose();

        Assert.Equal(0, limit.AddressCount);
    }

    private static string Resolve(ClientAddresses addresses, string peer, string line)
    {
        using var head = new RequestHead();
        byte[] bytes = Encoding.ASCII.GetBytes($"GET / HTTP/1.1\r\nHost: a\r\n{line}{(line.Length > 0 ? "\r\n" : "")}\r\n");
        Assert.Equal(ParseStatus.Complete, new RequestParser(HttpLimits.Default).TryParse(new ReadOnlySequence<byte>(bytes), head, out _, out _));
        return addresses.Resolve(IPAddress.Parse(peer), head).ToString();
    }
}
