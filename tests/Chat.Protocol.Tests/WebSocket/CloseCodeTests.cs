using System.Globalization;
using System.Reflection;
using Chat.Protocol.WebSocket;

namespace Chat.Protocol.Tests.WebSocket;

public class CloseCodeTests
{
    [Theory]
    [InlineData(1000)]
    [InlineData(1003)]
    [InlineData(1007)]
    [InlineData(1011)]
    [InlineData(1014)]
    [InlineData(3000)]
    [InlineData(3999)]
    [InlineData(4000)]
    [InlineData(4999)]
    public void Codes_that_a_peer_may_send_are_valid(int code) => Assert.True(CloseCode.IsValidOnWire(code));

    [Theory]
    [InlineData(0)]
    [InlineData(999)]
    [InlineData(1004)]
    [InlineData(1005)]
    [InlineData(1006)]
    [InlineData(1015)]
    [InlineData(1016)]
    [InlineData(1100)]
    [InlineData(2000)]
    [InlineData(2999)]
    [InlineData(5000)]
    [InlineData(65535)]
    public void Reserved_and_unassigned_codes_are_not_valid(int code) => Assert.False(CloseCode.IsValidOnWire(code));

    [Fact]
    public void Every_code_that_we_name_may_be_sent_and_has_a_number_of_its_own()
    {
        var codes = new HashSet<int>();
        foreach (FieldInfo field in typeof(CloseCode).GetFields(BindingFlags.Public | BindingFlags.Static))
        {
            int code = Convert.ToInt32(field.GetValue(null), CultureInfo.InvariantCulture);
            Assert.True(CloseCode.IsValidOnWire(code), field.Name);
            Assert.True(codes.Add(code), field.Name);
        }

        Assert.Equal(18, codes.Count);
    }
}
