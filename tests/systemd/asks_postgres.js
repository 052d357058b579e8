// A worker whose jobs are queries: it keeps one TCP connection to PostgreSQL, and speaks as much of its protocol as those
// need, so that no driver has to be installed.
const net = require('net');
const readline = require('readline');

function message(kind, ...parts) {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part + '\0') : part)));
  const head = Buffer.alloc(4);
  head.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(kind), head, body]);
}

function* messages(data) {
  for (let at = 0; data.length - at >= 5; ) {
    const end = at + 1 + data.readInt32BE(at + 1);
    if (end > data.length) return data.subarray(at);
    yield { kind: String.fromCharCode(data[at]), body: data.subarray(at + 5, end), rest: data.subarray(end) };
    at = end;
  }
}

function row(body) {
  const values = [];
  for (let at = 2, left = body.readInt16BE(0); left > 0; left--) {
    const length = body.readInt32BE(at);
    at += 4;
    values.push(length < 0 ? null : body.toString('utf8', at, at + length));
    at += Math.max(length, 0);
  }
  return values;
}

const fields = (body) => Object.fromEntries(body.toString().split('\0').map((text) => [text[0], text.slice(1)]));

// Everything up to PostgreSQL's next "ready for query" belongs to what was asked last.
class Database {
  constructor(port, user, password) {
    this.socket = net.connect(port, 'localhost');
    this.password = password;
    this.unread = Buffer.alloc(0);
    this.socket.on('data', (data) => this.hear(data));
    this.socket.on('error', (error) => this.fail(error));
    const version = Buffer.alloc(4);
    version.writeInt32BE(3 << 16);
    // The first message alone has no kind.
    this.ready = this.ask(message('_', version, 'user', user, 'database', 'postgres', '').subarray(1));
  }

  ask(bytes) {
    this.rows = [];
    this.error = null;
    return new Promise((resolve, reject) => {
      Object.assign(this, { resolve, fail: reject });
      this.socket.write(bytes);
    });
  }

  hear(data) {
    this.unread = Buffer.concat([this.unread, data]);
    for (const { kind, body, rest } of messages(this.unread)) {
      this.unread = rest;
      if (kind === 'R' && body.readInt32BE(0) === 3) this.socket.write(message('p', this.password));
      if (kind === 'D') this.rows.push(row(body));
      if (kind === 'E') this.error = new Error(fields(body).M);
      if (kind === 'Z') this.error ? this.fail(this.error) : this.resolve(this.rows);
    }
  }
}

const database = new Database(5432, 'stoker', process.env.DATABASE_PASSWORD);

async function main() {
  await database.ready;
  process.stdout.write('{"status":"ready"}\n');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { id, payload } = JSON.parse(line);
    const reply = await database.ask(message('Q', payload)).then(
      (result) => ({ id, status: 'ok', result }),
      (error) => ({ id, status: 'error', message: error.message, retry: false }),
    );
    process.stdout.write(JSON.stringify(reply) + '\n');
  }
  process.exit(0);
}

main();
