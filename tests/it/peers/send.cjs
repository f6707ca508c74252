// send.cjs PORT CALLING CALLED FILE...: dcmjs-dimse sends files by C-STORE in one association.
// Prints one line an answer; exit 0 if every answer is a success.
'use strict';
const { Client, log, requests, constants } = require('dcmjs-dimse');

log.level = 'error';
const [port, calling, called, ...files] = process.argv.slice(2);
const client = new Client();
let succeeded = 0;
for (const file of files) {
  const request = new requests.CStoreRequest(file);
  request.on('response', (response) => {
    const status = response.getStatus();
    console.log(status.toString(16).toUpperCase().padStart(4, '0'));
    succeeded += status === constants.Status.Success ? 1 : 0;
  });
  client.addRequest(request);
}
client.on('networkError', (error) => console.log(`network error: ${error.message}`));
client.on('associationRejected', (answer) => console.log(`rejected: ${answer.getReason()}`));
client.on('closed', () => {
  process.exitCode = succeeded === files.length ? 0 : 1;
});
client.send('127.0.0.1', Number(port), calling, called);
