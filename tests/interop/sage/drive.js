// The calls of standard input through Node's soap; answers as lines of status, message type, message, result.
'use strict';

const readline = require('readline');
const soap = require('soap');

const { X3_WSDL, X3_ENDPOINT, X3_USER, X3_PASSWORD, X3_POOL } = process.env;
const basic = 'Basic ' + Buffer.from(X3_USER + ':' + X3_PASSWORD).toString('base64');

async function main() {
  const client = await soap.createClientAsync(X3_WSDL, { wsdl_headers: { Authorization: basic } }, X3_ENDPOINT);
  client.setSecurity(new soap.BasicAuthSecurity(X3_USER, X3_PASSWORD));
  const callContext = { codeLang: 'ENG', poolAlias: X3_POOL };
  for await (const row of readline.createInterface({ input: process.stdin })) {
    const [operation, publicName, key, value, text, more] = row.split('\t');
    const objectKeys = { keys: [{ key, value }] };
    const parts = {
      run: { inputXml: text },
      save: { objectXml: text },
      read: { objectKeys },
      delete: { objectKeys },
      query: { objectKeys, listSize: more },
      modify: { objectKeys, objectXml: text },
      actionObject: { actionCode: more, objectXml: text },
      actionObjectKeys: { actionCode: text, objectKeys },
      insertLines: { objectKeys, blocKey: text, lineKey: '1', lineXml: more },
      deleteLines: { objectKeys, blocKey: text, lineKeys: { keys: (more || '').split(',') } },
    }[operation] || {};
    const [answer] = await client[operation + 'Async']({ callContext, publicName, ...parts });
    const told = answer[operation + 'Return'];
    const plain = (x) => (x && x.$value !== undefined ? x.$value : x === undefined || x === null ? '' : x);
    const list = told.messages && told.messages.messages ? [].concat(told.messages.messages) : [];
    const last = list.length ? list[list.length - 1] : {};
    const result = plain(told.resultXml);
    process.stdout.write([
      plain(told.status), plain(last.type), plain(last.message),
      typeof result === 'string' ? result : JSON.stringify(result),
    ].join('\t').replace(/\n/g, ' ') + '\n');
  }
}

main().catch((error) => {
  process.stderr.write(String(error.stack || error) + '\n');
  process.exit(1);
});
