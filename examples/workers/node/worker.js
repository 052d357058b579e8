// A stoker worker for Node: three kinds of jobs, and every kind of reply.
//
//     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
//     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
//     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
//
// Try it by hand:  echo '{"id":"1","payload":{"kind":"factor","n":360}}' | node worker.js
'use strict';

const { open } = require('node:fs/promises');
const { loadavg } = require('node:os');

const PIECE = 8 * 1024 * 1024; // bytes of a file between two words about progress
const MAX_LOAD = Number(process.env.MAX_LOAD ?? 50); // above it, files are left for later
const LATER_SECS = 30;
const NEWLINE = 10;

// stdout is for replies alone; console.log, ours or a library's, goes to the log.
console.log = console.info = console.debug = console.error;

const send = (reply) => process.stdout.write(JSON.stringify(reply) + '\n');

class Refused extends Error {} // the payload is at fault: it will fail the same way every time
class Busy extends Error {} // not now, and nobody's fault

const PERMANENT = ['ENOENT', 'ENOTDIR', 'EISDIR'];

function words({ text }) {
  if (typeof text !== 'string') throw new Refused('text: expected a string');
  const length = (word) => [...word].length; // characters; .length counts the two halves of 🔥
  const found = text.split(/\s+/).filter(Boolean);
  const longest = found.reduce((best, word) => (length(word) > length(best) ? word : best), '');
  return { characters: length(text), words: found.length, longest };
}

function factor({ n }) {
  // Beyond 2^53 JSON.parse has rounded already: 2^53 + 1 arrives as 2^53. Send longer numbers as strings.
  if (!Number.isSafeInteger(n) || n < 1) throw new Refused('n: expected a whole number from 1 to 2^53 - 1');
  const factors = [];
  for (let p = 2; p * p <= n; p += p === 2 ? 1 : 2) {
    for (; n % p === 0; n /= p) factors.push(p);
  }
  if (n > 1) factors.push(n);
  return { factors };
}

async function count({ path }, progress) {
  if (typeof path !== 'string' || path.includes('\0')) throw new Refused('path: expected the name of a file');
  if (loadavg()[0] >= MAX_LOAD) throw new Busy();
  const file = await open(path);
  try {
    const total = (await file.stat()).size;
    const buffer = Buffer.alloc(PIECE);
    let lines = 0;
    let bytes = 0;
    for (let read; (read = (await file.read(buffer, 0, PIECE)).bytesRead) > 0; ) {
      const piece = buffer.subarray(0, read);
      for (let at = piece.indexOf(NEWLINE); at >= 0; at = piece.indexOf(NEWLINE, at + 1)) lines++;
      bytes += read;
      if (read === PIECE) progress({ progress: total ? Math.min(1, bytes / total) : null, done: bytes, total });
    }
    return { lines, bytes };
  } finally {
    await file.close();
  }
}

// A Map and not an object, in which `kind: "constructor"` would be found.
const KINDS = new Map(Object.entries({ words, factor, count }));

async function run(payload, progress) {
  const perform = KINDS.get(payload?.kind);
  if (!perform) throw new Refused(`kind: expected one of ${[...KINDS.keys()].join(', ')}`);
  return perform(payload, progress);
}

async function answer(id, payload) {
  try {
    const result = await run(payload, (step) => send({ id, status: 'progress', ...step }));
    return { id, status: 'ok', result };
  } catch (error) {
    if (error instanceof Busy) return { id, status: 'throttled', retry_after_secs: LATER_SECS };
    const permanent = error instanceof Refused || PERMANENT.includes(error.code);
    return { id, status: 'error', message: String(error.message ?? error), retry: !permanent };
  }
}

// Not node:readline, which also breaks a line at U+2028 and U+2029; JSON may contain both as they are.
async function* lines(stream) {
  let parts = [];
  for await (const chunk of stream.setEncoding('utf8')) {
    const [first, ...rest] = chunk.split('\n');
    parts.push(first);
    for (const next of rest) {
      yield parts.join('');
      parts = [next];
    }
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
