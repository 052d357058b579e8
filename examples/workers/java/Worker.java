// A stoker worker in Java: three kinds of jobs, and every kind of reply.
//
//     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
//     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
//     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
//
// JSON by Gson 2.10 (Debian: libgoogle-gson-java). Build and try:
//     javac -cp /usr/share/java/gson.jar -d classes Worker.java
//     echo '{"id":"1","payload":{"kind":"factor","n":360}}' | java -cp /usr/share/java/gson.jar:classes Worker

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

public final class Worker {
    private static final int PIECE = 8 * 1024 * 1024; // bytes of a file between two words about progress
    private static final long MAX_SAFE = (1L << 53) - 1; // beyond it other languages round, clients included
    private static final double MAX_LOAD = Double.parseDouble(System.getenv().getOrDefault("MAX_LOAD", "50"));
    private static final int LATER_SECS = 30;

    private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();

    /** The payload is at fault: it will fail the same way every time. */
    private static final class Refused extends Exception {
        Refused(String message) {
            super(message);
        }
    }

    /** Not now, and nobody's fault. */
    private static final class Busy extends Exception {}

    private interface Progress {
        void at(long done, long total) throws IOException;
    }

    private record Words(int characters, int words, String longest) {}

    private record Factors(List<Long> factors) {}

    private record Count(long lines, long bytes) {}

    private static Object run(JsonElement payload, Progress progress) throws Exception {
        JsonObject job = payload.isJsonObject() ? payload.getAsJsonObject() : new JsonObject();
        return switch (string(job, "kind", "expected words, factor or count")) {
            case "words" -> words(string(job, "text", "expected a string"));
            case "factor" -> factor(job.get("n"));
            case "count" -> count(string(job, "path", "expected the name of a file"), progress);
            default -> throw new Refused("kind: expected words, factor or count");
        };
    }

    private static String string(JsonObject job, String name, String expected) throws Refused {
        if (job.get(name) instanceof JsonPrimitive value && value.isString()) {
            return value.getAsString();
        }
        throw new Refused(name + ": " + expected);
    }

    private static Words words(String text) {
        String[] words = Arrays.stream(text.split("\\s+")).filter(word -> !word.isEmpty()).toArray(String[]::new);
        String longest = "";
        for (String word : words) {
            if (characters(word) > characters(longest)) {
                longest = word;
            }
        }
        return new Words(characters(text), words.length, longest);
    }

    private static int characters(String text) { // length() counts the two halves of 🔥
        return text.codePointCount(0, text.length());
    }

    private static Factors factor(JsonElement number) throws Refused {
        long n = wholeNumber(number);
        List<Long> factors = new ArrayList<>();
        for (long p = 2; p <= n / p; p += p == 2 ? 1 : 2) {
            for (; n % p == 0; n /= p) {
                factors.add(p);
            }
        }
        if (n > 1) {
            factors.add(n);
        }
        return new Factors(factors);
    }

    private static long wholeNumber(JsonElement number) throws Refused {
        try {
            // Exactly: getAsLong makes 1 of 1.5, and something of 1e30.
            if (number instanceof JsonPrimitive value && value.isNumber()) {
                long n = value.getAsBigDecimal().longValueExact();
                if (1 <= n && n <= MAX_SAFE) {
                    return n;
                }
            }
        } catch (ArithmeticException | NumberFormatException tooMuch) {
            // said below
        }
        throw new Refused("n: expected a whole number from 1 to 2^53 - 1");
    }

    private static Count count(String name, Progress progress) throws Exception {
        if (loadAverage() >= MAX_LOAD) {
            throw new Busy();
        }
        Path path = Path.of(name);
        if (Files.isDirectory(path)) {
            throw new Refused(name + ": is a folder");
        }
        long total = Files.size(path);
        long lines = 0;
        long bytes = 0;
        byte[] piece = new byte[PIECE];
        try (var file = Files.newInputStream(path)) {
            for (int read; (read = file.readNBytes(piece, 0, PIECE)) > 0; ) {
                for (int at = 0; at < read; at++) {
                    lines += piece[at] == '\n' ? 1 : 0;
                }
                bytes += read;
                if (read == PIECE) {
                    progress.at(bytes, total);
                }
            }
        }
        return new Count(lines, bytes);
    }

    private static double loadAverage() {
        try { // not java.lang.management, which would cost a tenth of a second at boot
            return Double.parseDouble(Files.readString(Path.of("/proc/loadavg")).split(" ")[0]);
        } catch (IOException notOnLinux) {
            return -1;
        }
    }

    private static JsonObject answer(JsonElement payload, Progress progress) {
        var reply = new JsonObject();
        try {
            reply.add("result", GSON.toJsonTree(run(payload, progress)));
            reply.addProperty("status", "ok");
        } catch (Busy busy) {
            reply.addProperty("status", "throttled");
            reply.addProperty("retry_after_secs", LATER_SECS);
        } catch (Refused | InvalidPathException refused) {
            error(reply, refused.getMessage(), false);
        } catch (NoSuchFileException missing) {
            error(reply, missing.getMessage() + ": no such file", false);
        } catch (FileSystemException failure) { // names the file, and the reason if there is one
            error(reply, failure.getMessage(), !"Not a directory".equals(failure.getReason()));
        } catch (Exception | StackOverflowError | OutOfMemoryError other) { // may pass: the queue's backoff tries again
            error(reply, other.toString(), true);
        }
        return reply;
    }

    private static void error(JsonObject reply, String message, boolean retry) {
        reply.addProperty("status", "error");
        reply.addProperty("message", message);
        reply.addProperty("retry", retry);
    }

    public static void main(String[] arguments) throws IOException {
        // The real stdout is for replies alone; a stray System.out.println goes to the log.
        OutputStream replies = new FileOutputStream(FileDescriptor.out); // no buffer: one write for each reply
        System.setOut(System.err);
        // UTF-8, whatever the locale is. (readLine breaks at \r, too; JSON has none inside strings.)
        var requests = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (String line; (line = requests.readLine()) != null; ) { // null when stoker closes stdin: time to go
            JsonObject request = JsonParser.parseString(line).getAsJsonObject();
            JsonElement id = request.get("id");
            JsonObject reply = answer(request.get("payload"), (done, total) -> {
                var step = new JsonObject();
                step.addProperty("status", "progress");
                step.add("progress", total > 0 ? new JsonPrimitive((double) done / total) : JsonNull.INSTANCE);
                step.addProperty("done", done);
                step.addProperty("total", total);
                send(replies, id, step);
            });
            send(replies, id, reply);
        }
    }

    private static void send(OutputStream replies, JsonElement id, JsonObject reply) throws IOException {
        reply.add("id", id);
        replies.write((GSON.toJson(reply) + "\n").getBytes(UTF_8));
    }
}
