// Loaded before node-quickbooks' own tests: points the library and its config at the sandbox.
'use strict';

const QuickBooks = require('node-quickbooks');
const config = require('node-quickbooks/config');

const site = JSON.parse(process.env.SANDBOX);
QuickBooks.V3_ENDPOINT_BASE_URL = site.base_url + '/v3/company/';
Object.assign(config, {
  consumerKey: site.client_id,
  consumerSecret: site.client_secret,
  token: site.token,
  tokenSecret: false,
  realmId: site.realm,
  useSandbox: true,
  oauthversion: '2.0',
});

// cdc.js hands a moment to the library, whose date-fns takes only a Date for a date: a moment passes for one.
const moment = require('moment');
moment.fn[Symbol.toStringTag] = 'Date';
moment.fn.getTime = moment.fn.valueOf;
