// secure.cjs scp PORT CERTIFICATE KEY CA
// secure.cjs scu PORT CALLING CALLED CERTIFICATE KEY CA: C-ECHO.
// dcmjs-dimse by mutual TLS. The scp says `listening`, then `echoed` for each C-ECHO and `stored` for each C-STORE; the
// scu ends with 0 if it was answered with success.
'use strict';
const fs = require('fs');
const { Client, Scp, Server, log, requests, responses, constants } = require('dcmjs-dimse');

log.level = 'error';
const [role, port, ...rest] = process.argv.slice(2);
const [certificate, key, ca] = rest.slice(-3).map((path) => fs.readFileSync(path));
const securityOptions = { key, cert: certificate, ca, requestCert: true, rejectUnauthorized: true };

class Taker extends Scp {
  associationRequested(association) {
    for (const { context } of association.getPresentationContexts()) {
      const [syntax] = context.getTransferSyntaxUids();
      context.setResult(constants.PresentationContextResult.Accept, syntax);
    }
    this.sendAssociationAccept();
  }
  cEchoRequest(request, callback) {
    console.log('echoed');
    const response = responses.CEchoResponse.fromRequest(request);
    response.setStatus(constants.Status.Success);
    callback(response);
  }
  cStoreRequest(request, callback) {
    console.log('stored');
    const response = responses.CStoreResponse.fromRequest(request);
    response.setStatus(constants.Status.Success);
    callback(response);
  }
  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

if (role === 'scp') {
  const server = new Server(Taker);
  server.on('networkError', (error) => console.log(`network error: ${error.message}`));
  server.listen(Number(port), { securityOptions });
} else {
  const client = new Client();
  let succeeded = false;
  const request = new requests.CEchoRequest();
  request.on('response', (response) => {
    succeeded = response.getStatus() === constants.Status.Success;
  });
  client.addRequest(request);
  client.on('networkError', (error) => console.log(`network error: ${error.message}`));
  client.on('associationRejected', (answer) => console.log(`rejected: ${answer.getReason()}`));
  client.on('closed', () => {
    process.exitCode = succeeded ? 0 : 1;
  });
  const [calling, called] = rest;
  client.send('localhost', Number(port), calling, called, { securityOptions });
}
