using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Flare.Runtime;

namespace Flare.Tests.Core.Serialization;

/// <summary>
/// The codec beside other people's: the public test suite of MessagePack (npm: msgpack-test-suite, whose JSON file the
/// variable <see cref="SuiteVariable"/> names) and Python's msgpack (Debian: python3-msgpack). CI installs both.
/// </summary>
public class OracleTests
{
    private const string SuiteVariable = "FLARE_MSGPACK_SUITE";

    [Test]
    public void The_public_test_suite_reads_as_it_says()
    {
        var file = Environment.GetEnvironmentVariable(SuiteVariable);
        if (string.IsNullOrEmpty(file))
            Assert.Ignore(
                $"{SuiteVariable} names no file: npm pack msgpack-test-suite@1.0.0, unpack it, name "
                    + "dist/msgpack-test-suite.json");
        using var suite = JsonDocument.Parse(File.ReadAllText(file!));
        var (read, refused) = (0, 0);
        foreach (var group in suite.RootElement.EnumerateObject())
        {
            foreach (var item in group.Value.EnumerateArray())
            {
                string[] encodings =
                    [.. item.GetProperty("msgpack").EnumerateArray().Select(e => e.GetString()!.Replace("-", ""))];
                var isHeld = TryValue(item, out var expected);
                foreach (var hex in encodings)
                {
                    var bytes = Convert.FromHexString("81a176" + hex);
                    if (!isHeld)
                    {
                        var error = Assert.Throws<FlareException>(
                            () => FlareMapCodec.Read(bytes), $"{group.Name}: {hex}")!;
                        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.MalformedBytes));
                        refused++;
                        continue;
                    }
                    var value = FlareMapCodec.Read(bytes)["v"];
                    // An encoder may write 1 as 1.0: then it is a number.
                    if (value.Kind == FlareValueKind.Number)
                        Assert.That(value.AsNumber(), Is.EqualTo(expected.AsNumber()), $"{group.Name}: {hex}");
                    else Assert.That(value == expected, $"{group.Name}: {hex} is {value}, not {expected}");
                    read++;
                }
                if (isHeld)
                    Assert.That(
                        encodings, Does.Contain(Encode(expected)),
                        $"{group.Name}: what is written of {expected} is one of its encodings");
            }
        }
        Assert.That(read, Is.GreaterThan(100));
        Assert.That(refused, Is.GreaterThan(25), "timestamps, extensions, integers of 64 bits");
    }

    [Test]
    public async Task Python_reads_what_is_written_and_writes_the_same_bytes()
    {
        const string program = "import sys, msgpack\nfor line in sys.stdin:\n"
            + "    value = msgpack.unpackb(bytes.fromhex(line.strip()), raw=False)\n"
            + "    print(msgpack.packb(value, use_bin_type=True).hex())\n";
        var random = new Random(5);
        string[] written =
            [.. Enumerable.Range(0, 300).Select(_ => Encode(FlareMapCodecTests.RandomMap(random, depth: 4, null)))];
        if (FindPython() is not { } name)
        {
            Assert.Ignore("No python3 here has msgpack: apt-get install python3-msgpack");
            return;
        }
        using var python = Start(name, program);
        var answers = python.StandardOutput.ReadToEndAsync();
        var complaints = python.StandardError.ReadToEndAsync();
        try
        {
            foreach (var hex in written) await python.StandardInput.WriteLineAsync(hex);
            python.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended before it had read all: why, its complaint says.
        }
        await python.WaitForExitAsync();
        Assert.That(await complaints, Is.Empty);
        Assert.That((await answers).Split('\n', StringSplitOptions.RemoveEmptyEntries), Is.EqualTo(written));
    }

    // The system's own beside the first of the path, which may be another.
    private static string? FindPython() => new[] { "python3", "/usr/bin/python3" }.FirstOrDefault(name =>
    {
        try
        {
            using var python = Start(name, "import msgpack");
            python.WaitForExit();
            return python.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false; // there is none of the name
        }
    });

    private static Process Start(string python, string program) =>
        Process.Start(new ProcessStartInfo(python, ["-c", program])
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
    })!;

    /// <summary>The value that an item of the suite stands for; false for what Flare refuses.</summary>
    private static bool TryValue(JsonElement item, out FlareValue value)
    {
        value = default;
        if (item.TryGetProperty("bignum", out var big))
        {
            var isHeld = long.TryParse(
                big.GetString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer);
            value = integer;
            return isHeld;
        }
        if (item.TryGetProperty("binary", out var binary))
            value = Convert.FromHexString(binary.GetString()!.Replace("-", ""));
        else if (item.TryGetProperty("timestamp", out _) || item.TryGetProperty("ext", out _)) return false;
        else value = Of(item.EnumerateObject().First(p => p.Name != "msgpack").Value);
        return true;
    }

    private static FlareValue Of(JsonElement json)
    {
        switch (json.ValueKind)
        {
            case JsonValueKind.Null: return default;
            case JsonValueKind.True or JsonValueKind.False: return json.GetBoolean();
            case JsonValueKind.Number: return json.TryGetInt64(out var integer) ? integer
                : (FlareValue)json.GetDouble();
            case JsonValueKind.String: return json.GetString();
            case JsonValueKind.Array: return FlareValue.List([.. json.EnumerateArray().Select(Of)]);
            default:
                var map = new FlareMap();
                foreach (var member in json.EnumerateObject()) map[member.Name] = Of(member.Value);
                return map;
        }
    }

    private static string Encode(FlareValue value) => Encode(new FlareMap { ["v"] = value })["81a176".Length..];

    private static string Encode(FlareMap map)
    {
        var output = new ArrayBufferWriter<byte>();
        FlareMapCodec.Write(map, output);
        return Convert.ToHexStringLower(output.WrittenSpan);
    }
}
