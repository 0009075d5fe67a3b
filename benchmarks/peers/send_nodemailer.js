// Send mails with nodemailer's pool: `send_nodemailer.js PORT CONNECTIONS COUNT FILE`; prints
// figures as JSON. `raw` hands it finished bytes, so that it builds nothing.
'use strict';
const { createRequire } = require('node:module');
const path = require('node:path');
const fs = require('node:fs');
const nodemailer = createRequire(path.join(process.cwd(), 'index.js'))('nodemailer');

async function main(port, connections, count, file) {
  const raw = fs.readFileSync(file);
  const pool = nodemailer.createTransport({
    pool: true, host: '127.0.0.1', port, secure: false, ignoreTLS: true,
    maxConnections: connections, maxMessages: Infinity,
  });
  let next = 0;
  const client = async () => {
    while (next < count) {
      const to = `p${String(next++).padStart(8, '0')}@example.org`;
      await pool.sendMail({ envelope: { from: 'shop@example.org', to: [to] }, raw });
    }
  };
  const began = process.hrtime.bigint();
  const burnt = process.cpuUsage();
  // Twice as many senders as connections, so that none of them ever waits for work.
  await Promise.all(Array.from({ length: connections * 2 }, client));
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const { user, system } = process.cpuUsage(burnt);
  pool.close();
  console.log(JSON.stringify({ seconds, cpu_s: (user + system) / 1e6, sent: count }));
}

const [port, connections, count, file] = process.argv.slice(2);
main(Number(port), Number(connections), Number(count), file).catch((error) => {
  console.error(String(error));
  process.exit(1);
});
