using System.Text;
using Chat.Protocol.Http;
using CsCheck;

namespace Chat.Protocol.Tests.Http;

public class RequestParserProperties
{
    private static readonly HttpLimits SmallLimits = new() { TargetBytesMax = 30, HeadBytesMax = 120, FieldsMax = 3, BodyBytesMax = 40 };

    // Pieces that are nearly right reach deeper than random bytes do.
    private static readonly Gen<byte[]> NearlyRequests = Pieces(
        "GET ", "POST ", "/", "/a?b=c", " HTTP/1.1", " HTTP/1.0", "\r\n", "\r\n", "\r\n", "\r", "\n", "\r\n\r\n", " ", "\t", ":", "\0",
        "Host: a", "A: b", "Content-Length: 5", "Content-Length:5", "Transfer-Encoding: chunked", "Connection: close",
        "GET / HTTP/1.1\r\nHost: a\r\n", "\u00E9", "aaaaaaaaaaaaaaaaaaaaaaaaaa");

    private static readonly Gen<byte[]> NearlyBodies = Pieces(
        "0", "1", "5", "a", "F", "\r\n", "\r\n", "\r", "\n", ";", "=", " ", "abcde", "A: b", "0\r\n\r\n", "\u00E9", "3\r\nxyz\r\n");

    private static readonly Gen<byte[]> Garbage = Gen.Byte.Array[0, 200];

    [Fact]
    public void No_bytes_make_the_parser_throw_and_every_cut_gives_the_same() =>
        Gen.OneOf(NearlyRequests, Garbage).Sample(static bytes => { Parsed.EveryWay(bytes, SmallLimits); }, iter: 1000);

    [Fact]
    public void Reads_of_any_size_give_the_same_as_one_read() =>
        Gen.Select(NearlyRequests, Gen.Int[1, 9], Gen.Int[0, 200]).Sample(
            static (bytes, step, cut) => Assert.Equal(
                Parsed.Once(Segments.Whole(bytes), SmallLimits),
                Parsed.Grown(bytes, SmallLimits, step, (all, count) => Segments.SplitAt(all[..count], Math.Min(cut, count)))),
            iter: 2000);

    [Fact]
    public void No_bytes_make_the_body_decoder_throw_and_every_cut_gives_the_same() =>
        Gen.OneOf(NearlyBodies, Garbage).Sample(static bytes => { Decoded.EveryWay(bytes, SmallLimits); }, iter: 1000);

    private static Gen<byte[]> Pieces(params string[] pieces) =>
        Gen.Int[0, pieces.Length - 1].Array[0, 12].Select(
            indices => Encoding.Latin1.GetBytes(string.Concat(indices.Select(index => pieces[index]))));
}
