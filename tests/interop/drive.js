// node-quickbooks, unmodified, through a month of receivables. Prints one JSON object of facts; exits 1 on an error.
'use strict';

const QuickBooks = require('node-quickbooks');

const site = JSON.parse(process.env.SANDBOX);
QuickBooks.V3_ENDPOINT_BASE_URL = site.base_url + '/v3/company/';
QuickBooks.TOKEN_URL = site.base_url + '/oauth2/v1/tokens/bearer';
QuickBooks.REVOKE_URL = site.base_url + '/v2/oauth2/tokens/revoke';

const qbo = new QuickBooks(
  site.client_id, site.client_secret, 'no token yet', false, site.realm, true, false, null, '2.0', site.refresh_token);

const call = (name, ...args) => new Promise((resolve, reject) => {
  qbo[name](...args, (error, body) => {
    const answer = (error && error.response && error.response.data) || body;
    const fault = answer && answer.Fault;
    if (fault) return reject(Object.assign(new Error(fault.Error[0].Message), { code: fault.Error[0].code }));
    return error ? reject(error) : resolve(body);
  });
});

const refused = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return error.code;
  }
  return 'accepted';
};

const sale = (amount) => [{
  Amount: amount, DetailType: 'SalesItemLineDetail', SalesItemLineDetail: { ItemRef: { value: '1' } },
}];
const link = (kind, id, amount) => ({ Amount: amount, LinkedTxn: [{ TxnId: id, TxnType: kind }] });

async function main() {
  const facts = {};
  const tokens = await call('refreshAccessToken');
  facts.token_type = tokens.token_type;
  facts.company = (await call('getCompanyInfo', site.realm)).CompanyName;

  const customer = await call('createCustomer', { DisplayName: "Node & O'Sons #1" });
  const found = await call('findCustomers', { DisplayName: "Node & O'Sons #1" });
  facts.found = found.QueryResponse.Customer.map((c) => c.Id === customer.Id);
  facts.duplicate = await refused(call('createCustomer', { DisplayName: "Node & O'Sons #1" }));

  const who = { value: customer.Id };
  const invoice = await call('createInvoice', { CustomerRef: who, Line: sale(100.1), requestId: 'node-1' });
  const again = await call('createInvoice', { CustomerRef: who, Line: sale(100.1), requestId: 'node-1' });
  facts.replayed = again.Id === invoice.Id;
  const credit = await call('createCreditMemo', { CustomerRef: who, Line: sale(30) });
  const payment = await call('createPayment', {
    CustomerRef: who, TotalAmt: 50.1, Line: [link('Invoice', invoice.Id, 80.1), link('CreditMemo', credit.Id, 30)],
  });
  facts.unapplied = payment.UnappliedAmt;
  facts.open = (await call('getInvoice', invoice.Id)).Balance;
  facts.balance = (await call('getCustomer', customer.Id)).Balance;

  facts.stale = await refused(call('updateInvoice', { Id: invoice.Id, SyncToken: '0', PrivateNote: 'x' }));
  const noted = await call('updateInvoice', { Id: invoice.Id, SyncToken: '1', PrivateNote: 'x' });
  facts.noted = [noted.PrivateNote, noted.SyncToken, noted.TotalAmt];
  await call('updatePayment', { Id: payment.Id, SyncToken: '0', CustomerRef: who, void: true });
  facts.reopened = (await call('getInvoice', invoice.Id)).Balance;
  const current = await call('getInvoice', invoice.Id);
  const gone = await call('deleteInvoice', { Id: current.Id, SyncToken: current.SyncToken });
  facts.deleted = gone.Invoice.status;
  facts.missing = await refused(call('getInvoice', invoice.Id));

  const all = await call('findInvoices', { fetchAll: true, limit: 5 });
  const count = await call('findInvoices', { count: true });
  facts.paged = new Set(all.QueryResponse.Invoice.map((i) => i.Id)).size === count.QueryResponse.totalCount;
  const batch = await call('batch', [
    { bId: 'a', operation: 'create', Customer: { DisplayName: 'Node batch' } },
    { bId: 'b', operation: 'delete', Invoice: { Id: '99999', SyncToken: '0' } },
  ]);
  facts.batch = batch.BatchItemResponse.map((r) => (r.Fault ? r.Fault.Error[0].code : r.bId));
  const since = new Date(Date.now() - 60000);
  const changed = await call('changeDataCapture', ['Invoice', 'Payment'], since);
  const invoices = changed.CDCResponse[0].QueryResponse[0].Invoice;
  facts.changed = invoices.filter((i) => i.Id === invoice.Id).map((i) => i.status);
  const report = await call('reportAgedReceivables', {});
  facts.report = report.Header.ReportName;
  process.stdout.write('\n' + JSON.stringify(facts) + '\n');
}

main().catch((error) => {
  process.stderr.write(String(error.stack || error) + '\n');
  process.exit(1);
});
