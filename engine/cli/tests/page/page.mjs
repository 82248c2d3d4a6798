// Opens pages and pictures as people do, and says what it saw.
//
//   page.mjs look FILE[=VIEW,...]...   JSON: for each file and each view of it, what is there
//   page.mjs picture FILE PNG          a page down to the end of its bars, as a picture
//
// DR_PAGE_BROWSER names the browser, DR_PAGE_MODULES the folder that npm filled,
// DR_PAGE_SEEN a folder for pictures of all that was looked at.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, extname, join, resolve } from 'node:path';
import { env, argv, exit, stdout } from 'node:process';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(resolve(env.DR_PAGE_MODULES), 'here'));
const puppeteer = require('puppeteer-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

// A sheet of A4 within the margins that page.css leaves, in CSS pixels.
const SHEET = { width: 688, height: 1017 };
const WIDE = { width: 1280, height: 900 };
const README = { width: 1100, height: 900 };
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
const PAGE = [
  { name: 'wide', viewport: WIDE },
  { name: 'wide-dark', viewport: WIDE, dark: true },
  { name: 'phone', viewport: PHONE },
  { name: 'phone-dark', viewport: PHONE, dark: true },
  { name: 'paper', viewport: SHEET, paper: true },
  { name: 'paper-dark', viewport: SHEET, paper: true, dark: true },
  // Escaping alone must hold: here the page's own policy against scripts is not in force.
  { name: 'lawless', viewport: WIDE, lawless: true },
];
const PICTURE = PAGE.slice(0, 2);

const launch = () =>
  // Chromium refuses its sandbox to root, as whom containers run; only our own pages are opened.
  puppeteer.launch({ executablePath: env.DR_PAGE_BROWSER, args: ['--no-sandbox', '--disable-dev-shm-usage'] });

async function open(browser, file, view, seen) {
  const page = await browser.newPage();
  page.on('request', (request) => seen.requests.push(request.url()));
  page.on('pageerror', (error) => seen.complaints.push(String(error)));
  page.on('console', (line) => ['error', 'warn'].includes(line.type()) && seen.complaints.push(line.text()));
  page.on('dialog', (dialog) => {
    seen.dialogs.push(dialog.message());
    return dialog.dismiss();
  });
  await page.setBypassCSP(Boolean(view.lawless));
  await page.setViewport(view.viewport);
  // In one message: puppeteer's own two undo each other.
  const features = [{ name: 'prefers-color-scheme', value: view.dark ? 'dark' : 'light' }];
  const cdp = await page.createCDPSession();
  await cdp.send('Emulation.setEmulatedMedia', { media: view.paper ? 'print' : 'screen', features });
  // The second frame after the load has begun: the first one is laid out and drawn.
  await page.evaluateOnNewDocument(() => {
    window.drawn = new Promise((done) => {
      const frames = () => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
      addEventListener('load', frames);
    });
  });
  await page.goto(pathToFileURL(resolve(file)).href, { waitUntil: 'load', timeout: 120_000 });
  seen.drawn_ms = await page.evaluate(() => window.drawn);
  // What lies below the first screen is laid out when it comes into sight, but for this.
  seen.whole_ms = await page.evaluate(() => {
    const began = performance.now();
    for (const part of document.querySelectorAll('section')) part.style.contentVisibility = 'visible';
    document.documentElement.getBoundingClientRect();
    return performance.now() - began;
  });
  return page;
}

// Runs in the page.
function observe() {
  const root = document.documentElement;
  const known = new Set(
    ('html head meta title style body header main footer section div p h1 h2 ul li table thead tbody tr th td span ' +
      'strong code svg desc g rect line path text').split(' '),
  );
  const said = (text) => text.textContent.slice(0, 80);
  const apart = (a, b) => Math.min(a.right - b.left, b.right - a.left, a.bottom - b.top, b.bottom - a.top) <= 2;
  const inside = (a, b) =>
    a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  const misplaced = [];
  const texts = { inked: 0, all: 0 };
  for (const picture of document.querySelectorAll('svg')) {
    const at = (of) => [...picture.querySelectorAll(of)].map((it) => ({ it, box: it.getBoundingClientRect() }));
    const frame = picture.getBoundingClientRect();
    const boxes = at('rect.box');
    const words = at('text').filter(({ it }) => it.textContent);
    texts.all += words.length;
    texts.inked += words.filter(({ box }) => box.width > 0 && box.height > 0).length;
    words.forEach(({ it, box }, number) => {
      if (!inside(box, frame)) misplaced.push(`${said(it)}: outside of the picture`);
      for (const { it: other, box: its } of boxes) {
        const own = other.parentNode === it.parentNode;
        if (own && !inside(box, its)) misplaced.push(`${said(it)}: outside of its box`);
        if (!own && !apart(box, its)) misplaced.push(`${said(it)}: on another box`);
      }
      for (const { it: other, box: its } of words.slice(number + 1))
        if (!apart(box, its)) misplaced.push(`${said(it)}: on ${said(other)}`);
    });
  }
  const inks = new Set();
  for (const it of document.querySelectorAll('body *')) {
    const style = getComputedStyle(it);
    inks.add([it.localName, style.color, style.backgroundColor, style.fill].join(' '));
  }
  const bars = document.querySelector('main svg');
  const bar = bars?.querySelector('rect.work');
  const shown = (it) => Boolean(it?.checkVisibility()) && it.getBoundingClientRect().width > 0;
  return {
    overflow: root.scrollWidth - root.clientWidth,
    height: root.scrollHeight,
    owned: window.owned ?? null,
    strange: [...document.querySelectorAll('*')].flatMap((it) => [
      ...(known.has(it.localName) ? [] : [it.localName]),
      ...it.getAttributeNames().filter((name) => name.startsWith('on')),
    ]),
    texts,
    misplaced,
    ground: document.body && getComputedStyle(document.body).backgroundColor,
    ink: document.body && getComputedStyle(document.body).color,
    inks: [...inks].sort(),
    bars: shown(bars) && shown(bar) && inside(bar.getBoundingClientRect(), bars.getBoundingClientRect()),
  };
}

async function look(browser, file, view) {
  const seen = { file: basename(file), view: view.name, requests: [], complaints: [], dialogs: [] };
  const page = await open(browser, file, view, seen);
  Object.assign(seen, await page.evaluate(observe));
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
  seen.violations = found.violations.map((it) => `${it.impact} ${it.id}: ${it.nodes[0].html.slice(0, 160)}`);
  seen.passed = found.passes.map((it) => it.id);
  const picture = env.DR_PAGE_SEEN && join(env.DR_PAGE_SEEN, `${basename(file)}, ${view.name}`);
  if (picture) await page.screenshot({ path: `${picture}.png`, clip: { x: 0, y: 0, width: view.viewport.width, height: Math.min(seen.height, 6000) } });
  if (view.paper) {
    const pdf = await page.pdf({ preferCSSPageSize: true, format: 'A4', printBackground: true, timeout: 120_000, path: picture && `${picture}.pdf` });
    seen.sheets = Buffer.from(pdf).toString('latin1').match(/\/Type\s*\/Page\b/g)?.length ?? 0;
    seen.sheets_least = seen.height / SHEET.height;
  }
  await page.close();
  return seen;
}

async function main([what, ...files]) {
  const browser = await launch();
  try {
    if (what === 'picture') {
      const page = await open(browser, files[0], { viewport: README }, { requests: [], complaints: [], dialogs: [] });
      const height = await page.evaluate(() => document.querySelector('section').getBoundingClientRect().bottom + 16);
      await page.screenshot({ path: files[1], clip: { x: 0, y: 0, width: README.width, height } });
      return;
    }
    if (env.DR_PAGE_SEEN) mkdirSync(env.DR_PAGE_SEEN, { recursive: true });
    const all = [];
    for (const [file, names] of files.map((it) => it.split('='))) {
      const views = extname(file) === '.svg' ? PICTURE : PAGE;
      for (const view of views.filter((it) => !names || names.split(',').includes(it.name))) {
        const lost = (cause) => Promise.reject(new Error(`${file}, ${view.name}: cannot be looked at`, { cause }));
        all.push(await look(browser, file, view).catch(lost));
      }
    }
    stdout.write(JSON.stringify(all));
  } finally {
    await browser.close();
  }
}

await main(argv.slice(2)).catch((error) => {
  console.error(error);
  exit(1);
});
