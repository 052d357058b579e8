// A stoker worker: the checksum of a file, read as a stream, with progress for the big ones.
//
//     payload   {"path": "/srv/video.mp4", "algorithm": "sha256"}        (algorithm: optional)
//     result    {"algorithm": "sha256", "digest": "9f86d0…", "bytes": 1048576}
//
// Try it by hand:  echo '{"id":"1","payload":{"path":"/etc/hostname"}}' | node worker.js
'use strict';

const { createHash, getHashes } = require('node:crypto');
const { createReadStream } = require('node:fs');
const { stat } = require('node:fs/promises');

const PROGRESS_EVERY = 8 * 1024 * 1024; // bytes
const PERMANENT = ['ENOENT', 'EISDIR', 'ENOTDIR'];

// stdout belongs to the replies; console.log, ours or a library's, goes to the log.
console.log = console.info = console.debug = console.error;

const send = (reply) => process.stdout.write(JSON.stringify(reply) + '\n');

class Refused extends Error {} // the same payload fails the same way tomorrow: do not repeat it

async function checksum(payload, progress) {
  const { path, algorithm = 'sha256' } = payload ?? {};
  if (typeof path !== 'string') throw new Refused('the payload must be {"path": "…"}');
  if (!getHashes().includes(algorithm)) throw new Refused(`no such algorithm: ${algorithm}`);
  const total = (await stat(path)).size;
  const hash = createHash(algorithm);
  let bytes = 0;
  let reported = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk);
    bytes += chunk.length;
    if (bytes - reported >= PROGRESS_EVERY) {
      progress({ progress: Math.min(1, bytes / total), done: bytes, total });
      reported = bytes;
    }
  }
  return { algorithm, digest: hash.digest('hex'), bytes };
}

async function answer(id, payload) {
  try {
    const result = await checksum(payload, (step) => send({ id, status: 'progress', ...step }));
    return { id, status: 'ok', result };
  } catch (error) {
    const retry = !(error instanceof Refused || PERMANENT.includes(error.code));
    return { id, status: 'error', message: error.message, retry };
  }
}

// Not node:readline, which also breaks a line at U+2028 and U+2029; JSON may contain both as they are.
async function* lines(stream) {
  let rest = '';
  for await (const chunk of stream.setEncoding('utf8')) {
    const parts = chunk.split('\n');
    parts[0] = rest + parts[0];
    rest = parts.pop();
    yield* parts;
  }
}

async function main() {
  // ends when stoker closes stdin, and the process with it
  for await (const line of lines(process.stdin)) {
    const { id, payload } = JSON.parse(line);
    send(await answer(id, payload));
  }
}

main();
