// wl_ask.cjs PORT CALLED CASES: dcmjs-dimse as asker, all cases over one association. CASES is a JSON list of
// {name, keys, step, code}. Prints one JSON line a case: {name, status, pending, steps}.
'use strict';
const fs = require('fs');
const { Client, Dataset, log, requests } = require('dcmjs-dimse');

log.level = 'error';
const [port, called, file] = process.argv.slice(2);
const client = new Client();
for (const { name, keys, step, code } of JSON.parse(fs.readFileSync(file, 'utf8'))) {
  const elements = {
    PatientName: '',
    ...keys,
    ScheduledProcedureStepSequence: [{ ScheduledProcedureStepID: '', ...step }],
  };
  if (Object.keys(code).length > 0) elements.RequestedProcedureCodeSequence = [code];
  const request = new requests.CFindRequest(0x0000);
  request.setAffectedSopClassUid('1.2.840.10008.5.1.4.31');
  request.setDataset(new Dataset(elements));
  const answer = { name, status: null, pending: [], steps: [] };
  request.on('response', (response) => {
    const status = response.getStatus();
    if (status !== 0xff00 && status !== 0xff01) {
      answer.status = status;
      console.log(JSON.stringify(answer));
      return;
    }
    answer.pending.push(status);
    const found = response.getDataset().getElement('ScheduledProcedureStepSequence');
    const one = Array.isArray(found) ? found[0] : found;
    answer.steps.push(one.ScheduledProcedureStepID);
  });
  client.addRequest(request);
}
client.on('networkError', (error) => { console.log(`network error: ${error.message}`); process.exitCode = 1; });
client.on('associationRejected', () => { console.log('rejected'); process.exitCode = 1; });
client.send('127.0.0.1', Number(port), 'MODALITY', called);
