using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using Chat.LoadTests.Clients;
using HdrHistogram;
using HdrHistogram.Utilities;

namespace Chat.LoadTests.Processes;

/// <summary>How requests and answers look between the program and its client processes: one JSON value a line.</summary>
internal static class ClientPipe
{
    public static JsonSerializerOptions Json { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
        Converters = { new AddressConverter(), new LatenciesConverter() },
    };

    private sealed class AddressConverter : JsonConverter<IPEndPoint>
    {
        public override IPEndPoint Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            IPEndPoint.Parse(reader.GetString()!);

        public override void Write(Utf8JsonWriter writer, IPEndPoint value, JsonSerializerOptions options) =>
            writer.WriteStringValue(value.ToString());
    }

    /// <summary>Histograms travel whole, in HdrHistogram's own compressed encoding: a percentile of percentiles would be none.</summary>
    private sealed class LatenciesConverter : JsonConverter<Latencies>
    {
        private sealed record Encoded(Dictionary<string, byte[]> Histograms, Dictionary<string, long> Fails);

        public override Latencies Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            Encoded encoded = JsonSerializer.Deserialize<Encoded>(ref reader, options)!;
            var latencies = new Latencies();
            foreach ((string name, byte[] bytes) in encoded.Histograms)
            {
                latencies.Named(name).Add(HistogramEncoding.DecodeFromCompressedByteBuffer(ByteBuffer.Allocate(bytes), 0));
            }

            foreach ((string name, long count) in encoded.Fails)
            {
                latencies.Fail(name, count);
            }

            return latencies;
        }

        public override void Write(Utf8JsonWriter writer, Latencies value, JsonSerializerOptions options) => JsonSerializer.Serialize(
            writer,
            new Encoded(value.Recorded.ToDictionary(static step => step.Name, static step => Encode(step.Histogram)), new Dictionary<string, long>(value.Fails)),
            options);

        private static byte[] Encode(LongHistogram histogram)
        {
            var buffer = ByteBuffer.Allocate(histogram.GetNeededByteBufferCapacity());
            byte[] encoded = new byte[histogram.EncodeIntoCompressedByteBuffer(buffer)];
            buffer.Position = 0;
            for (int i = 0; i < encoded.Length; i++)
            {
                encoded[i] = buffer.Get();
            }

            return encoded;
        }
    }
}
