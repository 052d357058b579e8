<?php
// A stoker worker in PHP: three kinds of jobs, and every kind of reply.
//
//     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
//     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
//     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
//
// Try it by hand:  echo '{"id":"1","payload":{"kind":"factor","n":360}}' | php worker.php
declare(strict_types=1);

const PIECE = 8 * 1024 * 1024; // bytes of a file between two words about progress
const MAX_SAFE = 2 ** 53 - 1; // beyond it other languages round, those that submit jobs included
define('MAX_LOAD', (float) ($_SERVER['MAX_LOAD'] ?? 50)); // above it, files are left for later
const LATER_SECS = 30;
const JSON = JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE;

// stdout is for replies alone. PHP's own warnings go there, too, unless told otherwise; so does every echo.
ini_set('display_errors', 'stderr');
ob_start(static function (string $text): string {
    fwrite(STDERR, $text);
    return '';
}, 1);

// A warning is an exception: what failed must not go on as false.
set_error_handler(static function (int $level, string $message, string $file, int $line): never {
    throw new ErrorException($message, 0, $level, $file, $line);
});

final class Refused extends Exception {} // the payload is at fault: it will fail the same way every time
final class Busy extends Exception {} // not now, and nobody's fault

function words(array $payload): array
{
    $text = $payload['text'] ?? null;
    is_string($text) || throw new Refused('text: expected a string');
    $found = preg_split('/\s+/u', $text, -1, PREG_SPLIT_NO_EMPTY);
    $longest = '';
    $most = 0;
    foreach ($found as $word) {
        $length = mb_strlen($word, 'UTF-8'); // characters; strlen counts bytes
        if ($length > $most) {
            [$most, $longest] = [$length, $word];
        }
    }
    return ['characters' => mb_strlen($text, 'UTF-8'), 'words' => count($found), 'longest' => $longest];
}

function factor(array $payload): array
{
    $n = $payload['n'] ?? null;
    is_int($n) && $n >= 1 && $n <= MAX_SAFE || throw new Refused('n: expected a whole number from 1 to 2^53 - 1');
    $factors = [];
    for ($p = 2; $p * $p <= $n; $p += $p === 2 ? 1 : 2) {
        for (; $n % $p === 0; $n = intdiv($n, $p)) {
            $factors[] = $p;
        }
    }
    if ($n > 1) {
        $factors[] = $n;
    }
    return ['factors' => $factors];
}

function count_lines(array $payload, callable $progress): array
{
    $path = $payload['path'] ?? null;
    is_string($path) || throw new Refused('path: expected the name of a file');
    sys_getloadavg()[0] < MAX_LOAD || throw new Busy();
    clearstatcache(); // a warm process remembers what it has asked of a path
    file_exists($path) && !is_dir($path) || throw new Refused("$path: no such file");
    $file = fopen($path, 'rb');
    $total = fstat($file)['size'];
    $lines = $bytes = 0;
    while (($piece = fread($file, PIECE)) !== '') {
        $lines += substr_count($piece, "\n");
        $bytes += strlen($piece);
        if (strlen($piece) === PIECE) {
            $progress(['progress' => $total > 0 ? min(1, $bytes / $total) : null, 'done' => $bytes, 'total' => $total]);
        }
    }
    fclose($file);
    return ['lines' => $lines, 'bytes' => $bytes];
}

const KINDS = ['words' => 'words', 'factor' => 'factor', 'count' => 'count_lines'];

function run(mixed $payload, callable $progress): array
{
    $kind = is_array($payload) ? $payload['kind'] ?? null : null;
    if (!is_string($kind) || !isset(KINDS[$kind])) {
        throw new Refused('kind: expected one of ' . implode(', ', array_keys(KINDS)));
    }
    return KINDS[$kind]($payload, $progress);
}

function answer(mixed $payload, callable $progress): array
{
    try {
        return ['status' => 'ok', 'result' => run($payload, $progress)];
    } catch (Busy) {
        return ['status' => 'throttled', 'retry_after_secs' => LATER_SECS];
    } catch (Refused $error) {
        return ['status' => 'error', 'message' => $error->getMessage(), 'retry' => false];
    } catch (Throwable $error) { // whatever else it is may pass: the queue's backoff tries again
        return ['status' => 'error', 'message' => $error::class . ': ' . $error->getMessage()];
    }
}

function send(string $id, array $reply): void
{
    fwrite(STDOUT, json_encode(['id' => $id] + $reply, JSON) . "\n"); // STDOUT has no buffer
}

while (($line = fgets(STDIN)) !== false) { // ends when stoker closes stdin: time to go
    // true: objects become arrays; as objects they could not have a member whose name begins with U+0000.
    ['id' => $id, 'payload' => $payload] = json_decode($line, true, 10_000, JSON_THROW_ON_ERROR);
    send($id, answer($payload, static fn (array $step) => send($id, ['status' => 'progress'] + $step)));
}
