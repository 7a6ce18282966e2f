// marked, DOMPurify and highlight.js, made by tools/bundle-web; their licences are in LICENSES.txt.
var ea=Object.create;var Pr=Object.defineProperty;var ta=Object.getOwnPropertyDescriptor;var na=Object.getOwnPropertyNames;var ra=Object.getPrototypeOf,ia=Object.prototype.hasOwnProperty;var sa=(e,t)=>()=>{try{return t||e((t={exports:{}}).exports,t),t.exports}catch(n){throw t=0,n}};var aa=(e,t,n,r)=>{if(t&&typeof t=="object"||typeof t=="function")for(let i of na(t))!ia.call(e,i)&&i!==n&&Pr(e,i,{get:()=>t[i],enumerable:!(r=ta(t,i))||r.enumerable});
return e};var oa=(e,t,n)=>(n=e!=null?ea(ra(e)):{},aa(t||!e||!e.__esModule?Pr(n,"default",{value:e,enumerable:!0}):n,e));var Zi=sa((kc,qi)=>{function Li(e){return e instanceof Map?e.clear=e.delete=e.set=function(){throw new Error("map is read-only")}:e instanceof Set&&(e.add=e.clear=
e.delete=function(){throw new Error("set is read-only")}),Object.freeze(e),Object.getOwnPropertyNames(e).forEach(t=>{let n=e[t],r=typeof n;(r==="object"||r==="f\
unction")&&!Object.isFrozen(n)&&Li(n)}),e}var on=class{constructor(t){t.data===void 0&&(t.data={}),this.data=t.data,this.isMatchIgnored=!1}ignoreMatch(){this.isMatchIgnored=
!0}};function Di(e){return e.replace(/&/g,"&amp;").replace(/</g,"&lt;").replace(/>/g,"&gt;").replace(/"/g,"&quot;").replace(/'/g,"&#x27;")}function qe(e,...t){let n=Object.
create(null);for(let r in e)n[r]=e[r];return t.forEach(function(r){for(let i in r)n[i]=r[i]}),n}var nl="</span>",Ni=e=>!!e.scope,rl=(e,{prefix:t})=>{if(e.startsWith(
"language:"))return e.replace("language:","language-");if(e.includes(".")){let n=e.split(".");return[`${t}${n.shift()}`,...n.map((r,i)=>`${r}${"_".repeat(i+1)}`)].
join(" ")}return`${t}${e}`},or=class{constructor(t,n){this.buffer="",this.classPrefix=n.classPrefix,t.walk(this)}addText(t){this.buffer+=Di(t)}openNode(t){if(!Ni(
t))return;let n=rl(t.scope,{prefix:this.classPrefix});this.span(n)}closeNode(t){Ni(t)&&(this.buffer+=nl)}value(){return this.buffer}span(t){this.buffer+=`<span \
class="${t}">`}},Oi=(e={})=>{let t={children:[]};return Object.assign(t,e),t},lr=class e{constructor(){this.rootNode=Oi(),this.stack=[this.rootNode]}get top(){return this.
stack[this.stack.length-1]}get root(){return this.rootNode}add(t){this.top.children.push(t)}openNode(t){let n=Oi({scope:t});this.add(n),this.stack.push(n)}closeNode(){
if(this.stack.length>1)return this.stack.pop()}closeAllNodes(){for(;this.closeNode(););}toJSON(){return JSON.stringify(this.rootNode,null,4)}walk(t){return this.
constructor._walk(t,this.rootNode)}static _walk(t,n){return typeof n=="string"?t.addText(n):n.children&&(t.openNode(n),n.children.forEach(r=>this._walk(t,r)),t.
closeNode(n)),t}static _collapse(t){typeof t!="string"&&t.children&&(t.children.every(n=>typeof n=="string")?t.children=[t.children.join("")]:t.children.forEach(
n=>{e._collapse(n)}))}},cr=class extends lr{constructor(t){super(),this.options=t}addText(t){t!==""&&this.add(t)}startScope(t){this.openNode(t)}endScope(){this.
closeNode()}__addSublanguage(t,n){let r=t.root;n&&(r.scope=`language:${n}`),this.add(r)}toHTML(){return new or(this,this.options).value()}finalize(){return this.
closeAllNodes(),!0}};function Ct(e){return e?typeof e=="string"?e:e.source:null}function Pi(e){return nt("(?=",e,")")}function il(e){return nt("(?:",e,")*")}function sl(e){
return nt("(?:",e,")?")}function nt(...e){return e.map(n=>Ct(n)).join("")}function al(e){let t=e[e.length-1];return typeof t=="object"&&t.constructor===Object?(e.
splice(e.length-1,1),t):{}}function cn(...e){return"("+(al(e).capture?"":"?:")+e.map(r=>Ct(r)).join("|")+")"}function Bi(e){return new RegExp(e.toString()+"|").
exec("").length-1}function ol(e,t){let n=e&&e.exec(t);return n&&n.index===0}var ll=new RegExp(cn(/\[(?:[^\\\]]|\\.)*\]/,/\(\?<(?![=!])[^>]+>/,/\(\?'[^']+'/,/\(\??/,
/\\([1-9][0-9]*)/,/\\./));function pr(e,{joinWith:t}){let n=0;return e.map(r=>{n+=1;let i=n,l=Ct(r),a="";for(;l.length>0;){let o=ll.exec(l);if(!o){a+=l;break}a+=
l.substring(0,o.index),l=l.substring(o.index+o[0].length),o[0][0]==="\\"&&o[1]?a+="\\"+String(Number(o[1])+i):(a+=o[0],(o[0]==="("||/^\(\?[<']/.test(o[0]))&&n++)}
return a}).map(r=>`(${r})`).join(t)}var cl=/\b\B/,zi="[a-zA-Z]\\w*",dr="[a-zA-Z_]\\w*",$i="\\b\\d+(\\.\\d+)?",Ui="(-?)(\\b0[xX][a-fA-F0-9]+|(\\b\\d+(\\.\\d*)?|\\.\\d+)\
([eE][-+]?\\d+)?)",Fi="\\b(0b[01]+)",ul="!|!=|!==|%|%=|&|&&|&=|\\*|\\*=|\\+|\\+=|,|-|-=|/=|/|:|;|<<|<<=|<=|<|===|==|=|>>>=|>>=|>=|>>>|>>|>|\\?|\\[|\\{|\\(|\\^|\\^=|\\||\\|=\
|\\|\\||~",pl=(e={})=>{let t=/^#![ ]*\//;return e.binary&&(e.begin=nt(t,/.*\b/,e.binary,/\b.*/)),qe({scope:"meta",begin:t,end:/$/,relevance:0,"on:begin":(n,r)=>{
n.index!==0&&r.ignoreMatch()}},e)},Mt={begin:"\\\\[\\s\\S]",relevance:0},dl={scope:"string",begin:"'",end:"'",illegal:"\\n",contains:[Mt]},fl={scope:"string",begin:'\
"',end:'"',illegal:"\\n",contains:[Mt]},gl={begin:/\b(a|an|the|are|I'm|isn't|don't|doesn't|won't|but|just|should|pretty|simply|enough|gonna|going|wtf|so|such|will|you|your|they|like|more)\b/},
un=function(e,t,n={}){let r=qe({scope:"comment",begin:e,end:t,contains:[]},n);r.contains.push({scope:"doctag",begin:"[ ]*(?=(TODO|FIXME|NOTE|BUG|OPTIMIZE|HACK|X\
XX):)",end:/(TODO|FIXME|NOTE|BUG|OPTIMIZE|HACK|XXX):/,excludeBegin:!0,relevance:0});let i=cn("I","a","is","so","us","to","at","if","in","it","on",/[A-Za-z]+['](d|ve|re|ll|t|s|n)/,
/[A-Za-z]+[-][a-z]+/,/[A-Za-z][a-z]{2,}/);return r.contains.push({begin:nt(/[ ]+/,"(",i,/[.]?[:]?([.][ ]|[ ])/,"){3}")}),r},hl=un("//","$"),ml=un("/\\*","\\*/"),
bl=un("#","$"),_l={scope:"number",begin:$i,relevance:0},El={scope:"number",begin:Ui,relevance:0},kl={scope:"number",begin:Fi,relevance:0},Tl={scope:"regexp",begin:/\/(?=[^/\n]*\/)/,
end:/\/[gimuy]*/,contains:[Mt,{begin:/\[/,end:/\]/,relevance:0,contains:[Mt]}]},yl={scope:"title",begin:zi,relevance:0},Sl={scope:"title",begin:dr,relevance:0},
xl={begin:"\\.\\s*"+dr,relevance:0},Al=function(e){return Object.assign(e,{"on:begin":(t,n)=>{n.data._beginMatch=t[1]},"on:end":(t,n)=>{n.data._beginMatch!==t[1]&&
n.ignoreMatch()}})},an=Object.freeze({__proto__:null,APOS_STRING_MODE:dl,BACKSLASH_ESCAPE:Mt,BINARY_NUMBER_MODE:kl,BINARY_NUMBER_RE:Fi,COMMENT:un,C_BLOCK_COMMENT_MODE:ml,
C_LINE_COMMENT_MODE:hl,C_NUMBER_MODE:El,C_NUMBER_RE:Ui,END_SAME_AS_BEGIN:Al,HASH_COMMENT_MODE:bl,IDENT_RE:zi,MATCH_NOTHING_RE:cl,METHOD_GUARD:xl,NUMBER_MODE:_l,
NUMBER_RE:$i,PHRASAL_WORDS_MODE:gl,QUOTE_STRING_MODE:fl,REGEXP_MODE:Tl,RE_STARTERS_RE:ul,SHEBANG:pl,TITLE_MODE:yl,UNDERSCORE_IDENT_RE:dr,UNDERSCORE_TITLE_MODE:Sl});
function wl(e,t){e.input[e.index-1]==="."&&t.ignoreMatch()}function Rl(e,t){e.className!==void 0&&(e.scope=e.className,delete e.className)}function Nl(e,t){t&&e.
beginKeywords&&(e.begin="\\b("+e.beginKeywords.split(" ").join("|")+")(?!\\.)(?=\\b|\\s)",e.__beforeBegin=wl,e.keywords=e.keywords||e.beginKeywords,delete e.beginKeywords,
e.relevance===void 0&&(e.relevance=0))}function Ol(e,t){Array.isArray(e.illegal)&&(e.illegal=cn(...e.illegal))}function vl(e,t){if(e.match){if(e.begin||e.end)throw new Error(
"begin & end are not supported with match");e.begin=e.match,delete e.match}}function Il(e,t){e.relevance===void 0&&(e.relevance=1)}var Cl=(e,t)=>{if(!e.beforeMatch)
return;if(e.starts)throw new Error("beforeMatch cannot be used with starts");let n=Object.assign({},e);Object.keys(e).forEach(r=>{delete e[r]}),e.keywords=n.keywords,
e.begin=nt(n.beforeMatch,Pi(n.begin)),e.starts={relevance:0,contains:[Object.assign(n,{endsParent:!0})]},e.relevance=0,delete n.beforeMatch},Ml=["of","and","for",
"in","not","or","if","then","parent","list","value"],Ll="keyword";function Hi(e,t,n=Ll){let r=Object.create(null);return typeof e=="string"?i(n,e.split(" ")):Array.
isArray(e)?i(n,e):Object.keys(e).forEach(function(l){Object.assign(r,Hi(e[l],t,l))}),r;function i(l,a){t&&(a=a.map(o=>o.toLowerCase())),a.forEach(function(o){let c=o.
split("|");r[c[0]]=[l,Dl(c[0],c[1])]})}}function Dl(e,t){return t?Number(t):Pl(e)?0:1}function Pl(e){return Ml.includes(e.toLowerCase())}var vi={},tt=e=>{console.
error(e)},Ii=(e,...t)=>{console.log(`WARN: ${e}`,...t)},gt=(e,t)=>{vi[`${e}/${t}`]||(console.log(`Deprecated as of ${e}. ${t}`),vi[`${e}/${t}`]=!0)},ln=new Error;
function Gi(e,t,{key:n}){let r=0,i=e[n],l={},a={};for(let o=1;o<=t.length;o++)a[o+r]=i[o],l[o+r]=!0,r+=Bi(t[o-1]);e[n]=a,e[n]._emit=l,e[n]._multi=!0}function Bl(e){
if(Array.isArray(e.begin)){if(e.skip||e.excludeBegin||e.returnBegin)throw tt("skip, excludeBegin, returnBegin not compatible with beginScope: {}"),ln;if(typeof e.
beginScope!="object"||e.beginScope===null)throw tt("beginScope must be object"),ln;Gi(e,e.begin,{key:"beginScope"}),e.begin=pr(e.begin,{joinWith:""})}}function zl(e){
if(Array.isArray(e.end)){if(e.skip||e.excludeEnd||e.returnEnd)throw tt("skip, excludeEnd, returnEnd not compatible with endScope: {}"),ln;if(typeof e.endScope!=
"object"||e.endScope===null)throw tt("endScope must be object"),ln;Gi(e,e.end,{key:"endScope"}),e.end=pr(e.end,{joinWith:""})}}function $l(e){e.scope&&typeof e.
scope=="object"&&e.scope!==null&&(e.beginScope=e.scope,delete e.scope)}function Ul(e){$l(e),typeof e.beginScope=="string"&&(e.beginScope={_wrap:e.beginScope}),typeof e.
endScope=="string"&&(e.endScope={_wrap:e.endScope}),Bl(e),zl(e)}function Fl(e){function t(a,o){return new RegExp(Ct(a),"m"+(e.case_insensitive?"i":"")+(e.unicodeRegex?
"u":"")+(o?"g":""))}class n{constructor(){this.matchIndexes={},this.regexes=[],this.matchAt=1,this.position=0}addRule(o,c){c.position=this.position++,this.matchIndexes[this.
matchAt]=c,this.regexes.push([c,o]),this.matchAt+=Bi(o)+1}compile(){this.regexes.length===0&&(this.exec=()=>null);let o=this.regexes.map(c=>c[1]);this.matcherRe=
t(pr(o,{joinWith:"|"}),!0),this.lastIndex=0}exec(o){this.matcherRe.lastIndex=this.lastIndex;let c=this.matcherRe.exec(o);if(!c)return null;let f=c.findIndex((b,g)=>g>
0&&b!==void 0),p=this.matchIndexes[f];return c.splice(0,f),Object.assign(c,p)}}class r{constructor(){this.rules=[],this.multiRegexes=[],this.count=0,this.lastIndex=
0,this.regexIndex=0}getMatcher(o){if(this.multiRegexes[o])return this.multiRegexes[o];let c=new n;return this.rules.slice(o).forEach(([f,p])=>c.addRule(f,p)),c.
compile(),this.multiRegexes[o]=c,c}resumingScanAtSamePosition(){return this.regexIndex!==0}considerAll(){this.regexIndex=0}addRule(o,c){this.rules.push([o,c]),c.
type==="begin"&&this.count++}exec(o){let c=this.getMatcher(this.regexIndex);c.lastIndex=this.lastIndex;let f=c.exec(o);if(this.resumingScanAtSamePosition()&&!(f&&
f.index===this.lastIndex)){let p=this.getMatcher(0);p.lastIndex=this.lastIndex+1,f=p.exec(o)}return f&&(this.regexIndex+=f.position+1,this.regexIndex===this.count&&
this.considerAll()),f}}function i(a){let o=new r;return a.contains.forEach(c=>o.addRule(c.begin,{rule:c,type:"begin"})),a.terminatorEnd&&o.addRule(a.terminatorEnd,
{type:"end"}),a.illegal&&o.addRule(a.illegal,{type:"illegal"}),o}function l(a,o){let c=a;if(a.isCompiled)return c;[Rl,vl,Ul,Cl].forEach(p=>p(a,o)),e.compilerExtensions.
forEach(p=>p(a,o)),a.__beforeBegin=null,[Nl,Ol,Il].forEach(p=>p(a,o)),a.isCompiled=!0;let f=null;return typeof a.keywords=="object"&&a.keywords.$pattern&&(a.keywords=
Object.assign({},a.keywords),f=a.keywords.$pattern,delete a.keywords.$pattern),f=f||/\w+/,a.keywords&&(a.keywords=Hi(a.keywords,e.case_insensitive)),c.keywordPatternRe=
t(f,!0),o&&(a.begin||(a.begin=/\B|\b/),c.beginRe=t(c.begin),!a.end&&!a.endsWithParent&&(a.end=/\B|\b/),a.end&&(c.endRe=t(c.end)),c.terminatorEnd=Ct(c.end)||"",a.
endsWithParent&&o.terminatorEnd&&(c.terminatorEnd+=(a.end?"|":"")+o.terminatorEnd)),a.illegal&&(c.illegalRe=t(a.illegal)),a.contains||(a.contains=[]),a.contains=
[].concat(...a.contains.map(function(p){return Hl(p==="self"?a:p)})),a.contains.forEach(function(p){l(p,c)}),a.starts&&l(a.starts,o),c.matcher=i(c),c}if(e.compilerExtensions||
(e.compilerExtensions=[]),e.contains&&e.contains.includes("self"))throw new Error("ERR: contains `self` is not supported at the top-level of a language.  See do\
cumentation.");return e.classNameAliases=qe(e.classNameAliases||{}),l(e)}function Ki(e){return e?e.endsWithParent||Ki(e.starts):!1}function Hl(e){return e.variants&&
!e.cachedVariants&&(e.cachedVariants=e.variants.map(function(t){return qe(e,{variants:null},t)})),e.cachedVariants?e.cachedVariants:Ki(e)?qe(e,{starts:e.starts?
qe(e.starts):null}):Object.isFrozen(e)?qe(e):e}var Gl="11.12.0",ur=class extends Error{constructor(t,n){super(t),this.name="HTMLInjectionError",this.html=n}},ar=Di,
Ci=qe,Mi=Symbol("nomatch"),Kl=7,Wi=function(e){let t=Object.create(null),n=Object.create(null),r=[],i=!0,l="Could not find the language '{}', did you forget to \
load/include a language module?",a={disableAutodetect:!0,name:"Plain text",contains:[]},o={ignoreUnescapedHTML:!1,throwUnescapedHTML:!1,noHighlightRe:/^(no-?highlight)$/i,
languageDetectRe:/\blang(?:uage)?-([\w-]+)\b/i,classPrefix:"hljs-",cssSelector:"pre code",languages:null,__emitter:cr};function c(m){return o.noHighlightRe.test(
m)}function f(m){let S=m.className+" ";S+=m.parentNode?m.parentNode.className:"";let x=o.languageDetectRe.exec(S);if(x){let M=B(x[1]);return M||(Ii(l.replace("{\
}",x[1])),Ii("Falling back to no-highlight mode for this block.",m)),M?x[1]:"no-highlight"}return S.split(/\s+/).find(M=>c(M)||B(M))}function p(m,S,x){let M="",
H="";typeof S=="object"?(M=m,x=S.ignoreIllegals,H=S.language):(gt("10.7.0","highlight(lang, code, ...args) has been deprecated."),gt("10.7.0",`Please use highli\
ght(code, options) instead.
https://github.com/highlightjs/highlight.js/issues/2277`),H=m,M=S),x===void 0&&(x=!0);let ee={code:M,language:H};q("before:highlight",ee);let pe=ee.result?ee.result:
b(ee.language,ee.code,x);return pe.code=ee.code,q("after:highlight",pe),pe}function b(m,S,x,M){let H=Object.create(null);function ee(k,w){return k.keywords[w]}function pe(){
if(!L.keywords){re.addText(I);return}let k=0;L.keywordPatternRe.lastIndex=0;let w=L.keywordPatternRe.exec(I),P="";for(;w;){P+=I.substring(k,w.index);let W=ye.case_insensitive?
w[0].toLowerCase():w[0],oe=ee(L,W);if(oe){let[ce,De]=oe;if(re.addText(P),P="",H[W]=(H[W]||0)+1,H[W]<=Kl&&(Fe+=De),ce.startsWith("_"))P+=w[0];else{let Pe=ye.classNameAliases[ce]||
ce;Te(w[0],Pe)}}else P+=w[0];k=L.keywordPatternRe.lastIndex,w=L.keywordPatternRe.exec(I)}P+=I.substring(k),re.addText(P)}function _e(){if(I==="")return;let k=null;
if(typeof L.subLanguage=="string"){if(!t[L.subLanguage]){re.addText(I);return}k=b(L.subLanguage,I,!0,Y[L.subLanguage]),Y[L.subLanguage]=k._top}else k=_(I,L.subLanguage.
length?L.subLanguage:null);L.relevance>0&&(Fe+=k.relevance),re.__addSublanguage(k._emitter,k.language)}function fe(){L.subLanguage!=null?_e():pe(),I=""}function Te(k,w){
k!==""&&(re.startScope(w),re.addText(k),re.endScope())}function Lt(k,w){let P=1,W=w.length-1;for(;P<=W;){if(!k._emit[P]){P++;continue}let oe=ye.classNameAliases[k[P]]||
k[P],ce=w[P];oe?Te(ce,oe):(I=ce,pe(),I=""),P++}}function Dt(k,w){return k.scope&&typeof k.scope=="string"&&re.openNode(ye.classNameAliases[k.scope]||k.scope),k.
beginScope&&(k.beginScope._wrap?(Te(I,ye.classNameAliases[k.beginScope._wrap]||k.beginScope._wrap),I=""):k.beginScope._multi&&(Lt(k.beginScope,w),I="")),L=Object.
create(k,{parent:{value:L}}),L}function Pt(k,w,P){let W=ol(k.endRe,P);if(W){if(k["on:end"]){let oe=new on(k);k["on:end"](w,oe),oe.isMatchIgnored&&(W=!1)}if(W){for(;k.
endsParent&&k.parent;)k=k.parent;return k}}if(k.endsWithParent)return Pt(k.parent,w,P)}function te(k){return L.matcher.regexIndex===0?(I+=k[0],1):(it=!0,0)}function gn(k){
let w=k[0],P=k.rule,W=new on(P),oe=[P.__beforeBegin,P["on:begin"]];for(let ce of oe)if(ce&&(ce(k,W),W.isMatchIgnored))return te(w);return P.skip?I+=w:(P.excludeBegin&&
(I+=w),fe(),!P.returnBegin&&!P.excludeBegin&&(I=w)),Dt(P,k),P.returnBegin?0:w.length}function hn(k){let w=k[0],P=S.substring(k.index),W=Pt(L,k,P);if(!W)return Mi;
let oe=L;L.endScope&&L.endScope._wrap?(fe(),Te(w,L.endScope._wrap)):L.endScope&&L.endScope._multi?(fe(),Lt(L.endScope,k)):oe.skip?I+=w:(oe.returnEnd||oe.excludeEnd||
(I+=w),fe(),oe.excludeEnd&&(I=w));do L.scope&&re.closeNode(),!L.skip&&!L.subLanguage&&(Fe+=L.relevance),L=L.parent;while(L!==W.parent);return W.starts&&Dt(W.starts,
k),oe.returnEnd?0:w.length}function mn(){let k=[];for(let w=L;w!==ye;w=w.parent)w.scope&&k.unshift(w.scope);k.forEach(w=>re.openNode(w))}let rt={};function Bt(k,w){
let P=w&&w[0];if(I+=k,P==null)return fe(),0;if(rt.type==="begin"&&w.type==="end"&&rt.index===w.index&&P===""){if(I+=S.slice(w.index,w.index+1),!i){let W=new Error(
`0 width match regex (${m})`);throw W.languageName=m,W.badRule=rt.rule,W}return 1}if(rt=w,w.type==="begin")return gn(w);if(w.type==="illegal"&&!x){let W=new Error(
'Illegal lexeme "'+P+'" for mode "'+(L.scope||"<unnamed>")+'"');throw W.mode=L,W}else if(w.type==="end"){let W=hn(w);if(W!==Mi)return W}if(w.type==="illegal"&&P===
"")return w.index===S.length||(I+=`
`),1;if(Le>1e5&&Le>w.index*3)throw new Error("potential infinite loop, way more iterations than matches");return I+=P,P.length}let ye=B(m);if(!ye)throw tt(l.replace(
"{}",m)),new Error('Unknown language: "'+m+'"');let bn=Fl(ye),bt="",L=M||bn,Y={},re=new o.__emitter(o);mn();let I="",Fe=0,de=0,Le=0,it=!1;try{if(ye.__emitTokens)
ye.__emitTokens(S,re);else{for(L.matcher.considerAll();;){Le++,it?it=!1:L.matcher.considerAll(),L.matcher.lastIndex=de;let k=L.matcher.exec(S);if(!k)break;let w=S.
substring(de,k.index),P=Bt(w,k);de=k.index+P}Bt(S.substring(de))}return re.finalize(),bt=re.toHTML(),{language:m,value:bt,relevance:Fe,illegal:!1,_emitter:re,_top:L}}catch(k){
if(k.message&&k.message.includes("Illegal"))return{language:m,value:ar(S),illegal:!0,relevance:0,_illegalBy:{message:k.message,index:de,context:S.slice(de-100,de+
100),mode:k.mode,resultSoFar:bt},_emitter:re};if(i)return{language:m,value:ar(S),illegal:!1,relevance:0,errorRaised:k,_emitter:re,_top:L};throw k}}function g(m){
let S={value:ar(m),illegal:!1,relevance:0,_top:a,_emitter:new o.__emitter(o)};return S._emitter.addText(m),S}function _(m,S){S=S||o.languages||Object.keys(t);let x=g(
m),M=S.filter(B).filter(he).map(fe=>b(fe,m,!1));M.unshift(x);let H=M.sort((fe,Te)=>{if(fe.relevance!==Te.relevance)return Te.relevance-fe.relevance;if(fe.language&&
Te.language){if(B(fe.language).supersetOf===Te.language)return 1;if(B(Te.language).supersetOf===fe.language)return-1}return 0}),[ee,pe]=H,_e=ee;return _e.secondBest=
pe,_e}function y(m,S,x){let M=S&&n[S]||x;m.classList.add("hljs"),m.classList.add(`language-${M}`)}function R(m){let S=null,x=f(m);if(c(x))return;if(q("before:hi\
ghlightElement",{el:m,language:x}),m.dataset.highlighted){console.log("Element previously highlighted. To highlight again, first unset `dataset.highlighted`.",m);
return}if(m.children.length>0&&(o.ignoreUnescapedHTML||(console.warn("One of your code blocks includes unescaped HTML. This is a potentially serious security ri\
sk."),console.warn("https://github.com/highlightjs/highlight.js/wiki/security"),console.warn("The element with unescaped HTML:"),console.warn(m)),o.throwUnescapedHTML))
throw new ur("One of your code blocks includes unescaped HTML.",m.innerHTML);S=m;let M=S.textContent,H=x?p(M,{language:x,ignoreIllegals:!0}):_(M);m.innerHTML=H.
value,m.dataset.highlighted="yes",y(m,x,H.language),m.result={language:H.language,re:H.relevance,relevance:H.relevance},H.secondBest&&(m.secondBest={language:H.
secondBest.language,relevance:H.secondBest.relevance}),q("after:highlightElement",{el:m,result:H,text:M})}function A(m){o=Ci(o,m)}let N=()=>{U(),gt("10.6.0","in\
itHighlighting() deprecated.  Use highlightAll() now.")};function z(){U(),gt("10.6.0","initHighlightingOnLoad() deprecated.  Use highlightAll() now.")}let C=!1;
function U(){function m(){U()}if(document.readyState==="loading"){C||window.addEventListener("DOMContentLoaded",m,!1),C=!0;return}document.querySelectorAll(o.cssSelector).
forEach(R)}function $(m,S){let x=null;try{x=S(e)}catch(M){if(tt("Language definition for '{}' could not be registered.".replace("{}",m)),i)tt(M);else throw M;x=
a}x.name||(x.name=m),t[m]=x,x.rawDefinition=S.bind(null,e),x.aliases&&K(x.aliases,{languageName:m})}function F(m){delete t[m];for(let S of Object.keys(n))n[S]===
m&&delete n[S]}function Z(){return Object.keys(t)}function B(m){return m=(m||"").toLowerCase(),t[m]||t[n[m]]}function K(m,{languageName:S}){typeof m=="string"&&
(m=[m]),m.forEach(x=>{n[x.toLowerCase()]=S})}function he(m){let S=B(m);return S&&!S.disableAutodetect}function be(m){m["before:highlightBlock"]&&!m["before:high\
lightElement"]&&(m["before:highlightElement"]=S=>{m["before:highlightBlock"](Object.assign({block:S.el},S))}),m["after:highlightBlock"]&&!m["after:highlightElem\
ent"]&&(m["after:highlightElement"]=S=>{m["after:highlightBlock"](Object.assign({block:S.el},S))})}function Re(m){be(m),r.push(m)}function Q(m){let S=r.indexOf(
m);S!==-1&&r.splice(S,1)}function q(m,S){let x=m;r.forEach(function(M){M[x]&&M[x](S)})}function Se(m){return gt("10.7.0","highlightBlock will be removed entirel\
y in v12.0"),gt("10.7.0","Please use highlightElement now."),R(m)}Object.assign(e,{highlight:p,highlightAuto:_,highlightAll:U,highlightElement:R,highlightBlock:Se,
configure:A,initHighlighting:N,initHighlightingOnLoad:z,registerLanguage:$,unregisterLanguage:F,listLanguages:Z,getLanguage:B,registerAliases:K,autoDetection:he,
inherit:Ci,addPlugin:Re,removePlugin:Q}),e.debugMode=function(){i=!1},e.safeMode=function(){i=!0},e.versionString=Gl,e.regex={concat:nt,lookahead:Pi,either:cn,optional:sl,
anyNumberOfTimes:il};for(let m in an)typeof an[m]=="object"&&Li(an[m]);return Object.assign(e,an),e},ht=Wi({});ht.newInstance=()=>Wi({});qi.exports=ht;ht.HighlightJS=
ht;ht.default=ht});function zn(){return{async:!1,breaks:!1,extensions:null,gfm:!0,hooks:null,pedantic:!1,renderer:null,silent:!1,tokenizer:null,walkTokens:null}}var et=zn();function Zr(e){
et=e}var Qe={exec:()=>null};function Ve(e){let t=[];return n=>{let r=Math.max(0,Math.min(3,n-1)),i=t[r];return i||(i=e(r),t[r]=i),i}}function D(e,t=""){let n=typeof e==
"string"?e:e.source,r={replace:(i,l)=>{let a=typeof l=="string"?l:l.source;return a=a.replace(ue.caret,"$1"),n=n.replace(i,a),r},getRegex:()=>new RegExp(n,t)};return r}
var Yr=((e="")=>{try{return!!new RegExp("(?<=1)(?<!1)"+e)}catch{return!1}})(),ue={codeRemoveIndent:/^(?: {0,3}\t| {1,4})/gm,listInterruptsParagraph:/^ {0,3}(?:[*+-]|1[.)])[ \t]+[^ \t\n]/,
outputLinkReplace:/\\([\[\]])/g,indentCodeCompensation:/^(\s+)(?:```)/,beginningSpace:/^\s+/,endingHash:/#$/,startingSpaceChar:/^ /,endingSpaceChar:/ $/,endingSpaceTabChar:/[ \t]$/,
nonSpaceChar:/[^ ]/,newLineCharGlobal:/\n/g,tabCharGlobal:/\t/g,leadingSpaceTab:/^[ \t]+/,multipleSpaceGlobal:/\s+/g,blankLine:/^[ \t]*$/,doubleBlankLine:/\n[ \t]*\n[ \t]*$/,
blockquoteStart:/^ {0,3}>/,blockquoteSetextReplace:/\n {0,3}((?:=+|-+)[ \t]*)(?=\n|$)/g,blockquoteSetextReplace2:/^ {0,3}>[ \t]?/gm,blockquoteMarkerWhitespace:/^( {0,3}>)(\t[ \t]*)/gm,
nestedBlockMarker:/^ {0,3}(?:(?:[*+-]|\d{1,9}[.)])(?: |$)|> ?)/,listReplaceNesting:/^ {1,4}(?=( {4})*[^ ])/g,listIsTask:/^\[[ xX]\][ \t]+\S/,listReplaceTask:/^\[[ xX]\][ \t]+/,
listTaskCheckbox:/\[[ xX]\]/,anyLine:/\n.*\n/,hrefBrackets:/^<(.*)>$/,tableDelimiter:/[:|]/,tableAlignChars:/^\||\| *$/g,tableRowBlankLine:/\n[ \t]*$/,tableAlignRight:/^ *-+: *$/,
tableAlignCenter:/^ *:-+: *$/,tableAlignLeft:/^ *:-+ *$/,startATag:/^<a /i,endATag:/^<\/a>/i,startPreScriptTag:/^<(pre|code|kbd|script)(\s|>)/i,endPreScriptTag:/^<\/(pre|code|kbd|script)(\s|>)/i,
startAngleBracket:/^</,endAngleBracket:/>$/,pedanticHrefTitle:/^([^'"]*[^\s])\s+(['"])(.*)\2/,unicodeAlphaNumeric:/[\p{L}\p{N}]/u,numericCharacterReference:/&#(?:(\d{1,7})|[Xx]([A-Fa-f0-9]{1,6}));/,
numericCharacterReferenceOrAmpersand:/&#(?:(\d{1,7})|[Xx]([A-Fa-f0-9]{1,6}));|&(?!(#\d{1,7}|#[Xx][a-fA-F0-9]{1,6}|\w+);)/g,escapeTest:/[&<>"']/,escapeReplace:/[&<>"']/g,
escapeTestNoEncode:/[<>"']|&(?!(#\d{1,7}|#[Xx][a-fA-F0-9]{1,6}|\w+);)/,escapeReplaceNoEncode:/[<>"']|&(?!(#\d{1,7}|#[Xx][a-fA-F0-9]{1,6}|\w+);)/g,caret:/(^|[^\[])\^/g,
percentDecode:/%25/g,findPipe:/\|/g,splitPipe:/ \|/,slashPipe:/\\\|/g,carriageReturn:/\r\n|\r/g,spaceLine:/^ +$/gm,notSpaceStart:/^\S*/,endingNewline:/\n$/,listItemRegex:e=>new RegExp(
`^( {0,3}${e})((?:[	 ][^\\n]*)?(?:\\n|$))`),nextBulletRegex:Ve(e=>new RegExp(`^ {0,${e}}(?:[*+-]|\\d{1,9}[.)])((?:[ 	][^\\n]*)?(?:\\n|$))`)),hrRegex:Ve(e=>new RegExp(
`^ {0,${e}}((?:-[ 	]*){3,}|(?:_[ 	]*){3,}|(?:\\*[ 	]*){3,})(?:\\n+|$)`)),fencesBeginRegex:Ve(e=>new RegExp(`^ {0,${e}}(?:\`\`\`|~~~)`)),headingBeginRegex:Ve(e=>new RegExp(
`^ {0,${e}}#{1,6}(?:\\s|$)`)),pedanticHeadingBeginRegex:Ve(e=>new RegExp(`^ {0,${e}}#`)),htmlBeginRegex:Ve(e=>new RegExp(`^ {0,${e}}(?:</?(?:${Un})(?:[ \\t]+|$|/\
?>)|<(?:(?:script|pre|style|textarea)(?:[\\s>]|$)|!--)|<\\?|<![A-Za-z]|<!\\[CDATA\\[)`,"i")),blockquoteBeginRegex:Ve(e=>new RegExp(`^ {0,${e}}>`)),nestedContainerMarkers:/^(?: {0,3}(?:(?:[*+-]|\d{1,9}[.)])[ \t]+|>[ \t]?))+/},
la=/^(?:[ \t]*(?:\n|$))+/,ca=/^((?: {4}| {0,3}\t)[^\n]+(?:\n(?:[ \t]*(?:\n|$))*)?)+/,ua=/^ {0,3}(`{3,}(?=[^`\n]*(?:\n|$))|~{3,})([^\n]*)(?:\n|$)(?:|([\s\S]*?)(?:\n|$))(?: {0,3}(?:(?=`)\1`*|(?=~)\1~*) *(?=\n|$)|$)/,
xt=/^ {0,3}((?:-[\t ]*){3,}|(?:_[ \t]*){3,}|(?:\*[ \t]*){3,})(?:\n+|$)/,pa=/^ {0,3}(#{1,6})(?=\s|$)(.*)(?:\n+|$)/,$n=/ {0,3}(?:[*+-]|\d{1,9}[.)])/,Un="address|a\
rticle|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1\
-6]|head|header|hr|html|iframe|legend|li|link|main|menu|menuitem|meta|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|the\
ad|title|tr|track|ul",At=D(" {0,3}(?:</?(?:tag)(?:[ \\t]+|\\n|/?>)|<(?:(?:script|pre|style|textarea)(?:[\\s>]|$)|!--)|<\\?|<![A-Za-z]|<!\\[CDATA\\[)").replace("\
tag",Un).getRegex(),Xr=/^(?!bull |blockCode|fences|blockquote|heading|html|table)((?:.|\n(?!\s*?\n|bull |fences|blockquote|heading|hr|html|table))+?)\n {0,3}(=+|-+)[ \t]*(?:\n+|$)/,
Vr=D(Xr).replace(/bull/g,$n).replace(/blockCode/g,/(?: {4}| {0,3}\t)/).replace(/fences/g,/ {0,3}(?:`{3,}|~{3,})/).replace(/blockquote/g,/ {0,3}>/).replace(/heading/g,
/ {0,3}#{1,6}(?:\s|$)/).replace(/hr/g,/ {0,3}(?:(?:-[\t ]*){3,}|(?:_[ \t]*){3,}|(?:\*[ \t]*){3,})(?:\n+|$)/).replace(/\|table/g,"").replace(/html/g,At).getRegex(),
da=D(Xr).replace(/bull/g,$n).replace(/blockCode/g,/(?: {4}| {0,3}\t)/).replace(/fences/g,/ {0,3}(?:`{3,}|~{3,})/).replace(/blockquote/g,/ {0,3}>/).replace(/heading/g,
/ {0,3}#{1,6}(?:\s|$)/).replace(/hr/g,/ {0,3}(?:(?:-[\t ]*){3,}|(?:_[ \t]*){3,}|(?:\*[ \t]*){3,})(?:\n+|$)/).replace(/table/g,/ {0,3}\|?(?:[:\- ]*\|)+[\:\- ]*\n/).
replace(/html/g,At).getRegex(),Fn=/^([^\n]+(?:\n(?!hr|heading|lheading|blockquote|fences|list|html|table|[ \t]+\n)[^\n]+)*)/,fa=/^[^\n]+/,Hn=/(?!\s*\])(?:\\[\s\S]|[^\[\]\\\n]|\n(?![ \t]*\n))+/,
ga=D(/^ {0,3}\[(label)\]: *(?:\n[ \t]*)?([^<\s][^\s]*|<(?:\\.|[^\n<>\\])*>)(?:(?: +(?:\n[ \t]*)?| *\n[ \t]*)(title))? *(?:\n+|$)/).replace("label",Hn).replace("\
title",/(?:"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\\n]|\n(?!\n))*'|\((?:\\[\s\S]|[^()\\])*\))/).getRegex(),ha=D(/^(bull)([ \t][^\n]*?)?(?:\n|$)/).replace(/bull/g,
$n).getRegex(),Gn=/<!--(?:-?>|[\s\S]*?(?:-->|$))/,ma=D("^ {0,3}(?:<(script|pre|style|textarea)[\\s>][\\s\\S]*?(?:</\\1>[^\\n]*\\n*|$)|comment[^\\n]*(\\n+|$)|<\\?[\\s\\S]*?\
(?:\\?>[^\\n]*\\n*|$)|<![A-Z][\\s\\S]*?(?:>[^\\n]*\\n*|$)|<!\\[CDATA\\[[\\s\\S]*?(?:\\]\\]>[^\\n]*\\n*|$)|</?(tag)(?:[ \\t]+|\\n|/?>|$)[\\s\\S]*?(?:(?:\\n[ 	]*)+\\n|$)|<(?!(?:script\
|pre|style|textarea)(?![a-z0-9-]))([a-z][a-z0-9-]*)(?:attribute)*?[ \\t]*/?>(?=[ \\t]*(?:\\n|$))[\\s\\S]*?(?:(?:\\n[ 	]*)+\\n|$)|</[a-z][a-z0-9-]*\\s*>(?=[ \\t]*(?:\\n|$)\
)[\\s\\S]*?(?:(?:\\n[ 	]*)+\\n|$))","i").replace("comment",Gn).replace("tag",Un).replace("attribute",/[ \t]+[a-zA-Z:_][\w.:-]*(?:[ \t]*=[ \t]*"[^"\n]*"|[ \t]*=[ \t]*'[^'\n]*'|[ \t]*=[ \t]*[^\s"'=<>`]+)?/).
getRegex(),Qr=e=>D(Fn).replace("hr",xt).replace("heading"," {0,3}#{1,6}(?:\\s|$)").replace("|lheading","").replace("|table","").replace("blockquote"," {0,3}>").
replace("fences"," {0,3}(?:`{3,}(?=[^`\\n]*(?:\\n|$))|~~~)[^\\n]*(?:\\n|$)").replace("list",e).replace("html",At).getRegex(),ba=Qr(/ {0,3}(?:[*+-]|1[.)])[ \t]+[^ \t\n]/),
_a=Qr(/ {0,3}(?:[*+-]|\d{1,9}[.)])(?:[ \t]|\n|$)/),Ea=D(/^( {0,3}> ?(?:(?![ \t]*(?:\n|$))(paragraph)|[^\n]*)(?:\n|$))+/).replace("paragraph",_a).getRegex(),Kn={
blockquote:Ea,code:ca,def:ga,fences:ua,heading:pa,hr:xt,html:ma,lheading:Vr,list:ha,newline:la,paragraph:ba,table:Qe,text:fa},Br=D("^ *([^\\n ].*)\\n {0,3}((?:\\| \
*)?:?-+:? *(?:\\| *:?-+:? *)*(?:\\| *)?)(?:\\n((?:(?! *\\n|hr|heading|blockquote|code|fences|list|html).*(?:\\n|$))*)\\n*|$)").replace("hr",xt).replace("heading",
" {0,3}#{1,6}(?:\\s|$)").replace("blockquote"," {0,3}>").replace("code","(?: {4}| {0,3}	)[^\\n]").replace("fences"," {0,3}(?:`{3,}(?=[^`\\n]*(?:\\n|$))|~~~)[^\\n]*\
(?:\\n|$)").replace("list"," {0,3}(?:[*+-]|1[.)])[ \\t]").replace("html",At).getRegex(),ka={...Kn,lheading:da,table:Br,paragraph:D(Fn).replace("hr",xt).replace(
"heading"," {0,3}#{1,6}(?:\\s|$)").replace("|lheading","").replace("table",Br).replace("blockquote"," {0,3}>").replace("fences"," {0,3}(?:`{3,}(?=[^`\\n]*(?:\\n|$\
))|~~~)[^\\n]*(?:\\n|$)").replace("list"," {0,3}(?:[*+-]|1[.)])[ \\t]+[^ \\t\\n]").replace("html",At).getRegex()},Ta={...Kn,html:D(`^ *(?:comment(?: *\\n|\\s*$)|<\
(tag)[\\s\\S]+?</\\1>(?: *\\n{2,}|\\s*$)|<tag(?:"[^"]*"|'[^']*'|\\s[^'"/>\\s]*)*?/?>(?: *\\n{2,}|\\s*$))`).replace("comment",Gn).replace(/tag/g,"(?!(?:a|em|stro\
ng|small|s|cite|q|dfn|abbr|data|time|code|var|samp|kbd|sub|sup|i|b|u|mark|ruby|rt|rp|bdi|bdo|span|br|wbr|ins|del|img)\\b)\\w+(?!:|[^\\w\\s@]*@)\\b").getRegex(),
def:/^ *\[([^\]]+)\]: *<?([^\s>]+)>?(?: +(["(][^\n]+[")]))? *(?:\n+|$)/,heading:/^(#{1,6})(.*)(?:\n+|$)/,fences:Qe,lheading:/^(.+?)\n {0,3}(=+|-+) *(?:\n+|$)/,paragraph:D(
Fn).replace("hr",xt).replace("heading",` *#{1,6} *[^
]`).replace("|table","").replace("blockquote"," {0,3}>").replace("|fences","").replace("|list","").replace("|html","").replace("|tag","").replace("lheading",Vr).
getRegex()},ya=/^\\([!"#$%&'()*+,\-./:;<=>?@\[\]\\^_`{|}~])/,Sa=/^(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/,jr=/^( {2,}|\\)\n(?!\s*$)[ \t]*/,xa=/^(`+|[^`])(?:(?= {2,}\n)|[\s\S]*?(?:(?=[\\<!\[`*_]|\b_|$)|[^ ](?= {2,}\n)))/,
Ce=/[\p{P}\p{S}]/u,dt=/[\s\p{P}\p{S}]/u,wt=/[^\s\p{P}\p{S}]/u,Aa=D(/^((?![*_])punctSpace)/,"u").replace(/punctSpace/g,dt).getRegex(),wa=/[\p{Pi}\p{Ps}"']/u,Jr=/(?!~)[\p{P}\p{S}]/u,
Ra=/(?!~)[\s\p{P}\p{S}]/u,Na=/(?:[^\s\p{P}\p{S}]|~)/u,Oa=D(/link|precode-code|html/,"g").replace("link",/\[(?:[^\[\]`]|(?<a>`+)[^`]+\k<a>(?!`))*?\]\((?:\\[\s\S]|[^\\\(\)]|\((?:\\[\s\S]|[^\\\(\)])*\))*\)/).
replace("precode-",Yr?"(?<!`)()":"(^^|[^`])").replace("code",/(?<b>`+)[^`]+\k<b>(?!`)/).replace("html",/<(?! )[^<>]*?>/).getRegex(),ei=/^(?:\*+(?:((?!\*)punct)|([^\s*]))?)|^_+(?:((?!_)punct)|([^\s_]))?/,
va=D(ei,"u").replace(/punct/g,Ce).getRegex(),Ia=D(ei,"u").replace(/punct/g,Jr).getRegex(),Ca=/^(?:\*+(?:((?!\*)(?!openQuote)punct)|([^\s*]))?)|^_+(?:((?!_)(?!openQuote)punct)|([^\s_]))?/,
Ma=D(Ca,"u").replace(/openQuote/g,wa).replace(/punct/g,Ce).getRegex(),ti="^[^_*]*?__[^_*]*?\\*[^_*]*?(?=__)|[^*]+(?=[^*])|(?!\\*)punct(\\*+)(?=[\\s]|$)|notPunctSpac\
e(\\*+)(?!\\*)(?=punctSpace|$)|(?!\\*)punctSpace(\\*+)(?=notPunctSpace)|[\\s](\\*+)(?!\\*)(?=punct)|(?!\\*)punct(\\*+)(?!\\*)(?=punct)|notPunctSpace(\\*+)(?=notPunctSpace)",
La=D(ti,"gu").replace(/notPunctSpace/g,wt).replace(/punctSpace/g,dt).replace(/punct/g,Ce).getRegex(),Da=D(ti,"gu").replace(/notPunctSpace/g,Na).replace(/punctSpace/g,
Ra).replace(/punct/g,Jr).getRegex(),Pa="^[^_*]*?__[^_*]*?\\*[^_*]*?(?=__)|[^*]+(?=[^*])|(?!\\*)punct(\\*+)(?=[\\s]|$)|notPunctSpace(\\*+)(?!\\*)(?=punctSpace|$)|(?!\\*\
)[\\s](\\*+)(?=notPunctSpace)|[\\s](\\*+)(?!\\*)(?=punct)|(?!\\*)punct(\\*+)(?!\\*)(?=punct)|(?:(?!\\*)punct|notPunctSpace)(\\*+)(?!\\*)(?=notPunctSpace)",Ba=D(
Pa,"gu").replace(/notPunctSpace/g,wt).replace(/punctSpace/g,dt).replace(/punct/g,Ce).getRegex(),za=D("^[^_*]*?\\*\\*[^_*]*?_[^_*]*?(?=\\*\\*)|[^_]+(?=[^_])|(?!_)pun\
ct(_+)(?=[\\s]|$)|notPunctSpace(_+)(?!_)(?=punctSpace|$)|(?!_)punctSpace(_+)(?=notPunctSpace)|[\\s](_+)(?!_)(?=punct)|(?!_)punct(_+)(?!_)(?=punct)","gu").replace(
/notPunctSpace/g,wt).replace(/punctSpace/g,dt).replace(/punct/g,Ce).getRegex(),$a="^[^_*]*?\\*\\*[^_*]*?_[^_*]*?(?=\\*\\*)|[^_]+(?=[^_])|(?!_)punct(_+)(?=[\\s]|$)|no\
tPunctSpace(_+)(?!_)(?=punctSpace|$)|(?!_)[\\s](_+)(?=notPunctSpace)|[\\s](_+)(?!_)(?=punct)|(?!_)punct(_+)(?!_)(?=punct)|(?:(?!_)punct|notPunctSpace)(_+)(?!_)(?=\
notPunctSpace)",Ua=D($a,"gu").replace(/notPunctSpace/g,wt).replace(/punctSpace/g,dt).replace(/punct/g,Ce).getRegex(),Fa=D(/^~~?(?:((?!~)punct)|[^\s~])/,"u").replace(
/punct/g,Ce).getRegex(),Ha="^[^~]+(?=[^~])|(?!~)punct(~~?)(?=[\\s]|$)|notPunctSpace(~~?)(?!~)(?=punctSpace|$)|(?!~)punctSpace(~~?)(?=notPunctSpace)|[\\s](~~?)(?!~\
)(?=punct)|(?!~)punct(~~?)(?!~)(?=punct)|notPunctSpace(~~?)(?=notPunctSpace)",Ga=D(Ha,"gu").replace(/notPunctSpace/g,wt).replace(/punctSpace/g,dt).replace(/punct/g,
Ce).getRegex(),Ka=D(/\\(punct)/,"gu").replace(/punct/g,Ce).getRegex(),Wa=D(/(`+)(?:[^`]|[^`][\s\S]*?[^`])\1(?!`)|`+|\\(punct)/,"gu").replace(/punct/g,Ce).getRegex(),
qa=D(/^<(scheme:[^\s\x00-\x1f<>]*|email)>/).replace("scheme",/[a-zA-Z][a-zA-Z0-9+.-]{1,31}/).replace("email",/[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+(@)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+(?![-_])/).
getRegex(),Za=D(Gn).replace("(?:-->|$)","-->").getRegex(),Ya=D("^comment|^</[a-zA-Z][a-zA-Z0-9-]*\\s*>|^<[a-zA-Z][a-zA-Z0-9-]*(?:attribute)*?\\s*/?>|^<\\?[\\s\\S]*?\\\
?>|^<![a-zA-Z]+\\s[\\s\\S]*?>|^<!\\[CDATA\\[[\\s\\S]*?\\]\\]>").replace("comment",Za).replace("attribute",/\s+[a-zA-Z:_][\w.:-]*(?:\s*=\s*"[^"]*"|\s*=\s*'[^']*'|\s*=\s*[^\s"'=<>`]+)?/).
getRegex(),ni=/\[(?:\\[\s\S]|[^\[\]\\])*\]/,jt=D(/(?:\[(?:brackets|\\[\s\S]|[^\[\]\\])*\]|\\[\s\S]|`+(?!`)[^`]*?`+(?!`)|``+(?=\])|[^\[\]\\`])*?/).replace("brack\
ets",ni).getRegex(),Xa=D(/^!?\[(label)\]\([ \t\n]*(href)(?:(?:[ \t]+(?:\n[ \t]*)?|\n[ \t]*)(title))?[ \t\n]*\)/).replace("label",jt).replace("href",/<(?:\\.|[^\n<>\\])*>|(?!<)[^ \t\n\x00-\x1f]+|(?=\))/).
replace("title",/"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*'|\((?:\\[\s\S]|[^)\\])*\)/).getRegex(),Va=D(/^!?\[(label)\]\[(ref)\]/).replace("label",jt).replace(
"ref",Hn).getRegex(),Qa=D(/^!?\[(ref)\](?:\[\])?/).replace("ref",Hn).getRegex(),zr=/(?!\s*\])(?:\\[\s\S]|[^\[\]\\]){1,999}/,ja=D(/(?:[^\[\]\\`]*(?:\[(?:brackets|\\[\s\S]|[^\[\]\\])*\]|\\[\s\S]|`+(?!`)[^`]*?`+(?!`)|``+(?=\]))){0,999}?[^\[\]\\`]*?/).
replace("brackets",ni).getRegex(),Ja=D("reflink|nolink(?!\\()","g").replace("reflink",D(/^!?\[(label)\]\[(ref)\]/).replace("label",ja).replace("ref",zr).getRegex()).
replace("nolink",D(/^!?\[(ref)\](?:\[\])?/).replace("ref",zr).getRegex()).getRegex(),$r=/[hH][tT][tT][pP][sS]?|[fF][tT][pP]/,eo=/[A-Za-z0-9._+-]+@[a-zA-Z0-9-_]+(?:\.[a-zA-Z0-9-_]*[a-zA-Z0-9])+(?![\w-])/,
to=D(/(?:mailto:email|xmpp:email(?:\/[A-Za-z0-9@.]+)?)/).replace(/email/g,eo).getRegex(),Wn={_backpedal:Qe,anyPunctuation:Ka,anyPunctuationOutsideCode:Wa,autolink:qa,
blockSkip:Oa,br:jr,code:Sa,del:Qe,delLDelim:Qe,delRDelim:Qe,emStrongLDelim:va,emStrongRDelimAst:La,emStrongRDelimUnd:za,escape:ya,link:Xa,nolink:Qa,punctuation:Aa,
reflink:Va,reflinkSearch:Ja,tag:Ya,text:xa,url:Qe},no={...Wn,emStrongLDelim:Ma,emStrongRDelimAst:Ba,emStrongRDelimUnd:Ua,link:D(/^!?\[(label)\]\((.*?)\)/).replace(
"label",jt).getRegex(),reflink:D(/^!?\[(label)\]\s*\[([^\]]*)\]/).replace("label",jt).getRegex()},Dn={...Wn,emStrongRDelimAst:Da,emStrongLDelim:Ia,delLDelim:Fa,
delRDelim:Ga,url:D(/^emailProtocol|^((?:protocol):\/\/|www\.)(?:[a-zA-Z0-9\-]+\.?)+[^\s<]*|^email/).replace("emailProtocol",to).replace("protocol",$r).replace("\
email",/[A-Za-z0-9._+-]+(@)[a-zA-Z0-9-_]+(?:\.[a-zA-Z0-9-_]*[a-zA-Z0-9])+(?![\w-])/).getRegex(),_backpedal:/(?:[^?!.,:;*_'"~()&]+|\([^)]*\)|&(?![a-zA-Z0-9]+;$)|[?!.,:;*_'"~)]+(?!$))+/,
del:/^(~~?)(?=[^\s~])((?:\\[\s\S]|[^\\])*?(?:\\[\s\S]|[^\s~\\]))\1(?=[^~]|$)/,text:D(/^(?:[^a-zA-Z0-9](?=emailProtocol)|(`+|~+|[^`~])(?:(?=[`~])|(?= {2,}\n)|(?=[a-zA-Z0-9.!#$%&'*+\/=?_`{\|}~-]+@)|[\s\S]*?(?:(?=[\\<!\[`*~_]|\b_|protocol:\/\/|wwwStart|$)|[^ ](?= {2,}\n)|[^a-zA-Z0-9](?=emailProtocol)|[^a-zA-Z0-9.!#$%&'*+\/=?_`{\|}~-](?=[a-zA-Z0-9.!#$%&'*+\/=?_`{\|}~-]+@))))/).
replace("protocol",$r).replace(/emailProtocol/g,/(?:mailto|xmpp):/).replace("wwwStart",Yr?"(?<![^\\s*_~(])www\\.":"www\\.").getRegex()},ro={...Dn,br:D(jr).replace(
"{2,}","*").getRegex(),text:D(Dn.text).replace("\\b_","\\b_| {2,}\\n").replace(/\{2,\}/g,"*").getRegex()},Vt={normal:Kn,gfm:ka,pedantic:Ta},yt={normal:Wn,gfm:Dn,
breaks:ro,pedantic:no},io={"&":"&amp;","<":"&lt;",">":"&gt;",'"':"&quot;","'":"&#39;"},Ur=e=>io[e];function Ee(e,t){if(t){if(ue.escapeTest.test(e))return e.replace(
ue.escapeReplace,Ur)}else if(ue.escapeTestNoEncode.test(e))return e.replace(ue.escapeReplaceNoEncode,Ur);return e}function so(e){return ue.numericCharacterReference.
test(e)?e.replace(ue.numericCharacterReferenceOrAmpersand,(t,n,r)=>{if(n===void 0&&r===void 0)return"&amp;";let i=n===void 0?Number.parseInt(r,16):Number.parseInt(
n,10);return i===0||i>1114111||i>=55296&&i<=57343?"\uFFFD":i===38?"&amp;":String.fromCodePoint(i)}):e}function Fr(e){try{e=encodeURI(e).replace(ue.percentDecode,
"%")}catch{return null}return e}function Hr(e,t){let n=e.replace(ue.findPipe,(l,a,o)=>{let c=!1,f=a;for(;--f>=0&&o[f]==="\\";)c=!c;return c?"|":" |"}),r=n.split(
ue.splitPipe),i=0;if(r[0].trim()||r.shift(),r.length>0&&!r.at(-1)?.trim()&&r.pop(),t)if(r.length>t)r.splice(t);else for(;r.length<t;)r.push("");for(;i<r.length;i++)
r[i]=r[i].trim().replace(ue.slashPipe,"|");return r}function $e(e,t,n){let r=e.length;if(r===0)return"";let i=0;for(;i<r;){let l=e.charAt(r-i-1);if(l===t&&!n)i++;else if(l!==
t&&n)i++;else break}return e.slice(0,r-i)}function Gr(e){let t=e.split(`
`),n=t.length-1;for(;n>=0&&ue.blankLine.test(t[n]);)n--;return t.length-n<=2?e:t.slice(0,n+1).join(`
`)}function Jt(e){return e.trim().replace(ue.multipleSpaceGlobal," ").toLowerCase().toUpperCase().toLowerCase()}function Kr(e,t){if(e.indexOf(t[0])===-1&&e.indexOf(
t[1])===-1)return-1;let n=0;for(let r=0;r<e.length;r++)if(e[r]==="\\")r++;else if(e[r]===t[0])n++;else if(e[r]===t[1]&&(n--,n<0))return r;return n>0?-2:-1}var pt=new WeakMap;
function qn(e){let t={"*":-1,_:-1},n=-1,r=e.length;for(let i=0;i<r;i++){let l=e[i];if(l!=="*"&&l!=="_"&&l!=="~")continue;let a=i===0?`
`:e[i-1],o=i+1;for(;o<r&&e[o]===l;)o++;a!==" "&&a!=="	"&&a!==`
`&&a!=="\r"&&a!=="\f"&&(l==="~"?n=i:t[l]=i),i=o-1}return{maskedSrc:e,lastPossibleEmStrongCloserIndex:t,lastPossibleDelCloserIndex:n}}function ao(e,t){let n=qn(t),
r=pt.get(e);r?r.push(n):pt.set(e,[n])}function oo(e){let t=pt.get(e);t&&(t.pop(),t.length===0&&pt.delete(e))}function ri(e,t,n){let r=pt.get(e)?.at(-1);return r&&
r.maskedSrc===t?r.lastPossibleEmStrongCloserIndex[n]:qn(t).lastPossibleEmStrongCloserIndex[n]}function ii(e,t){let n=pt.get(e)?.at(-1);return n&&n.maskedSrc===t?
n.lastPossibleDelCloserIndex:qn(t).lastPossibleDelCloserIndex}function Qt(e,t=0){let n=t,r="";for(let i of e)if(i==="	"){let l=4-n%4;r+=" ".repeat(l),n+=l}else r+=
i,n++;return r}function lo(e,t){let n="";for(let r=0;r<e.length;r++){if(e[r]==="`"){let i=t.inline.code.exec(e.slice(r));if(i){n+=i[0],r+=i[0].length-1;continue}}
if(e[r]==="\\"&&(e[r+1]==="["||e[r+1]==="]")){n+=e[r+1],r++;continue}n+=e[r]}return n}function Wr(e,t,n,r,i){let l=t.href,a=t.title||null,o=lo(e[1],i),c=e[0].charAt(
0)==="!",f=r.state.inLink,p=r.state.linkEmitted,b=r.state.inRawBlock;r.state.inLink=!0,r.state.linkEmitted=!1;let g=r.inlineTokens(o),_=r.state.linkEmitted;if(r.
state.linkEmitted=p,r.state.inLink=f,!c){if(_){r.state.inRawBlock=b;return}r.state.linkEmitted=!0}return{type:c?"image":"link",raw:n,href:l,title:a,text:o,tokens:g}}
function co(e,t,n){let r=e.match(n.other.indentCodeCompensation);if(r===null)return t;let i=r[1];return t.split(`
`).map(l=>{let a=l.match(n.other.beginningSpace);if(a===null)return l;let[o]=a;return l.slice(Math.min(o.length,i.length))}).join(`
`)}function qr(e,t,n,r){if(!t.includes("<"))return!1;for(let i=0;i<t.length;i++){if(t[i]==="\\"){i++;continue}if(t[i]==="`"){let o=r.inline.code.exec(t.slice(i));
if(o){i+=o[0].length-1;continue}}if(t[i]!=="<")continue;let l=e.slice(n+i),a=r.inline.tag.exec(l)||r.inline.autolink.exec(l);if(a){if(a[0].length>t.length-i)return!0;
i+=a[0].length-1}}return!1}var je=class{options;rules;lexer;constructor(e){this.options=e||et}space(e){let t=this.rules.block.newline.exec(e);if(t&&t[0].length>
0)return{type:"space",raw:t[0]}}code(e){let t=this.rules.block.code.exec(e);if(t){let n=this.options.pedantic?t[0]:Gr(t[0]),r=n.replace(this.rules.other.codeRemoveIndent,
"");return{type:"code",raw:n,codeBlockStyle:"indented",text:r}}}fences(e){let t=this.rules.block.fences.exec(e);if(t){let n=t[0],r=co(n,t[3]||"",this.rules);return t[3]!==
void 0&&(r===""||r.endsWith(`
`))&&(r+=`
`),{type:"code",raw:n,lang:t[2]?t[2].trim().replace(this.rules.inline.anyPunctuation,"$1"):t[2],text:r}}}heading(e){let t=this.rules.block.heading.exec(e);if(t){
let n=t[2].trim();if(this.rules.other.endingHash.test(n)){let r=$e(n,"#");(this.options.pedantic||!r||this.rules.other.endingSpaceTabChar.test(r))&&(n=r.trim())}
return{type:"heading",raw:$e(t[0],`
`),depth:t[1].length,text:n,tokens:this.lexer.inline(n)}}}hr(e){let t=this.rules.block.hr.exec(e);if(t)return{type:"hr",raw:$e(t[0],`
`)}}blockquote(e){let t=this.rules.block.blockquote.exec(e);if(t){let n=$e(t[0],`
`).split(`
`),r="",i="",l=[];for(;n.length>0;){let a=!1,o=[],c;for(c=0;c<n.length;c++)if(this.rules.other.blockquoteStart.test(n[c]))o.push(n[c]),a=!0;else if(!a)o.push(n[c]);else
break;n=n.slice(c);let f=o.join(`
`),p=f.replace(this.rules.other.blockquoteMarkerWhitespace,(_,y,R)=>R.startsWith(" ")?y+" "+R.slice(1):y+Qt(R,y.length)).replace(this.rules.other.blockquoteSetextReplace,
`
    $1`).replace(this.rules.other.blockquoteSetextReplace2,"");r=r?`${r}
${f}`:f,i=i?`${i}
${p}`:p;let b=this.lexer.state.top;if(this.lexer.state.top=!0,this.lexer.blockTokens(p,l,!0),this.lexer.state.top=b,n.length===0)break;let g=l.at(-1);if(g?.type===
"code"||g?.type==="heading"||g?.type==="hr"||g?.type==="html"||g?.type==="table")break;if(g?.type==="blockquote"){let _=g,y=n.join(`
`),R=_.raw+`
`+y.replace(this.rules.other.blockquoteSetextReplace2,""),A=this.blockquote(R);l[l.length-1]=A;let N=R.substring(A.raw.length).replace(/^\n/,""),z=N?N.split(`
`).length:0,C=z?n.slice(0,-z):n;if(C.length>0&&(r=`${r}
${C.join(`
`)}`),i=i.substring(0,i.length-_.text.length)+A.text,n=n.slice(C.length),n.length>0&&this.rules.other.blockquoteStart.test(n[0]))continue;break}else if(g?.type===
"list"){let _=g,y=_.raw+`
`+n.join(`
`),R=this.list(y);l[l.length-1]=R;let A=R.raw.length>_.raw.length?y.slice(_.raw.length+1,R.raw.length).split(`
`).length:0;if(A>0){let N=n.slice(0,A).join(`
`);r=`${r}
${N}`,i=`${i}
${N}`}if(n=n.slice(A),n.length>0&&!this.rules.other.blockquoteStart.test(n[0]))break;continue}}return{type:"blockquote",raw:r,tokens:l,text:i}}}list(e){let t=this.
rules.block.list.exec(e);if(t){if(!this.options.pedantic&&this.lexer.state.lastToken?.type==="text"&&!this.rules.other.listInterruptsParagraph.test(e))return;let n=e,
r=()=>n.length-e.length,i=t[1].trim(),l=i.length>1,a={type:"list",raw:"",ordered:l,start:l?+i.slice(0,-1):"",loose:!1,items:[]};i=l?`\\d{1,9}\\${i.slice(-1)}`:`\
\\${i}`,this.options.pedantic&&(i=l?i:"[*+-]");let o=this.rules.other.listItemRegex(i),c=!1;for(;e;){let b=!1,g="";if(!(t=o.exec(e))||this.rules.block.hr.test(e))
break;let _=r();e=e.substring(t[0].length);let y=t[2].split(`
`,1)[0],R=t[1].length,A=this.options.pedantic?Qt(y,R):y.replace(this.rules.other.leadingSpaceTab,$=>Qt($,R)),N=e.split(`
`,1)[0],z=!A.trim(),C=0;if(this.options.pedantic?(C=2,g=A.trimStart()):z?C=R+1:(C=A.search(this.rules.other.nonSpaceChar),C=C>4?1:C,g=A.slice(C),C+=R),z&&this.rules.
other.blankLine.test(N)&&(e=e.substring(N.length+1),b=!0),!b){let $=this.rules.other.nextBulletRegex(C),F=this.rules.other.hrRegex(C),Z=this.rules.other.fencesBeginRegex(
C),B=this.options.pedantic?this.rules.other.pedanticHeadingBeginRegex(C):this.rules.other.headingBeginRegex(C),K=this.rules.other.htmlBeginRegex(C),he=this.rules.
other.blockquoteBeginRegex(C),be=!1;for(;e;){let Re=e.split(`
`,1)[0],Q;if(N=Re,this.options.pedantic?(N=N.replace(this.rules.other.listReplaceNesting,"  "),Q=N):Q=N.replace(this.rules.other.leadingSpaceTab,q=>Qt(q)),Z.test(
N)||B.test(N)||K.test(N)||he.test(N)||$.test(N)||F.test(N))break;if(Q.search(this.rules.other.nonSpaceChar)>=C||!N.trim())g+=`
`+Q.slice(C),be=!1;else{if(z)break;let q=A;if(!this.options.pedantic&&!g.includes(`
`)&&!A.includes("	")){let m;for(;!F.test(q)&&(m=this.rules.other.nestedBlockMarker.exec(q));)q=q.slice(m[0].length);if(!q.trim())break}if(q.replace(this.rules.other.
tabCharGlobal,"    ").search(this.rules.other.nonSpaceChar)>=4||Z.test(q)||B.test(q)||K.test(q)||F.test(q))break;if(!this.options.pedantic&&!be){let m=A.replace(
this.rules.other.nestedContainerMarkers,"");if(this.rules.block.fences.test(m)||this.rules.block.heading.test(m)||this.rules.block.hr.test(m))break}let Se=!this.
options.pedantic&&/^ {0,3}(?:=+|-+) *$/.test(N)&&this.rules.block.lheading.test(`${A}
${N}`)?`    ${Q.replace(/^ {0,3}/,"")}`:N;g+=`
`+Se,be=!0}z=!N.trim(),e=e.substring(Re.length+1),A=Q.slice(C)}}let U=n.slice(_,r());a.loose||(c?a.loose=!0:this.rules.other.doubleBlankLine.test(U)&&(c=!0)),a.
items.push({type:"list_item",raw:U,task:!!this.options.gfm&&this.rules.other.listIsTask.test(g),loose:!1,text:g,tokens:[]})}let f=a.items.at(-1);if(f)f.raw=f.raw.
trimEnd(),f.text=f.text.trimEnd();else return;a.raw=n.slice(0,r()).trimEnd();let p=[];for(let b of a.items)if(this.lexer.state.top=!1,p.push(this.lexer.inlineQueue.
length),b.tokens=this.lexer.blockTokens(b.text,[]),!a.loose){let g=b.tokens.filter(y=>y.type==="space"),_=g.length>0&&g.some(y=>this.rules.other.anyLine.test(y.
raw));a.loose=_}for(let b=0;b<a.items.length;b++){let g=a.items[b],_=g.tokens[0];if(g.task&&(_?.type==="text"||_?.type==="paragraph")){g.text=g.text.replace(this.
rules.other.listReplaceTask,""),_.raw=_.raw.replace(this.rules.other.listReplaceTask,""),_.text=_.text.replace(this.rules.other.listReplaceTask,"");let y=this.lexer.
inlineQueue;for(let A=p[b];A<y.length;A++)if(y[A].tokens===_.tokens){y[A].src=y[A].src.replace(this.rules.other.listReplaceTask,"");break}let R=this.rules.other.
listTaskCheckbox.exec(g.raw);if(R){let A={type:"checkbox",raw:R[0]+" ",checked:R[0]!=="[ ]"};g.checked=A.checked,a.loose?g.tokens[0]&&["paragraph","text"].includes(
g.tokens[0].type)&&"tokens"in g.tokens[0]&&g.tokens[0].tokens?(g.tokens[0].raw=A.raw+g.tokens[0].raw,g.tokens[0].text=A.raw+g.tokens[0].text,g.tokens[0].tokens.
unshift(A)):g.tokens.unshift({type:"paragraph",raw:A.raw,text:A.raw,tokens:[A]}):g.tokens.unshift(A)}}else g.task&&(g.task=!1)}if(a.loose)for(let b of a.items){
b.loose=!0;for(let g of b.tokens)g.type==="text"&&(g.type="paragraph")}return a}}html(e){let t=this.rules.block.html.exec(e);if(t){if(this.lexer.state.lastToken?.
type==="paragraph"&&!this.rules.other.htmlBeginRegex(4).test(e))return;let n=Gr(t[0]);return{type:"html",block:!0,raw:n,pre:t[1]==="pre"||t[1]==="script"||t[1]===
"style",text:n}}}def(e){let t=this.rules.block.def.exec(e);if(t){if(!this.rules.other.startAngleBracket.test(t[2])&&Kr(t[2],"()")!==-1)return;let n=Jt(t[1]),r=t[2]?
t[2].replace(this.rules.other.hrefBrackets,"$1").replace(this.rules.inline.anyPunctuation,"$1"):"",i=t[3]?t[3].substring(1,t[3].length-1).replace(this.rules.inline.
anyPunctuation,"$1"):t[3];return{type:"def",tag:n,raw:$e(t[0],`
`),href:r,title:i}}}table(e){let t=this.rules.block.table.exec(e);if(!t||!this.rules.other.tableDelimiter.test(t[2]))return;let n=Hr(t[1]),r=t[2].replace(this.rules.
other.tableAlignChars,"").split("|"),i=t[3]?.trim()?t[3].replace(this.rules.other.tableRowBlankLine,"").split(`
`):[],l={type:"table",raw:$e(t[0],`
`),header:[],align:[],rows:[]};if(n.length===r.length){for(let a of r)this.rules.other.tableAlignRight.test(a)?l.align.push("right"):this.rules.other.tableAlignCenter.
test(a)?l.align.push("center"):this.rules.other.tableAlignLeft.test(a)?l.align.push("left"):l.align.push(null);for(let a=0;a<n.length;a++)l.header.push({text:n[a],
tokens:this.lexer.inline(n[a]),header:!0,align:l.align[a]});for(let a of i)l.rows.push(Hr(a,l.header.length).map((o,c)=>({text:o,tokens:this.lexer.inline(o),header:!1,
align:l.align[c]})));return l}}lheading(e){let t=this.rules.block.lheading.exec(e);if(t){let n=t[1].trim();return{type:"heading",raw:$e(t[0],`
`),depth:t[2].charAt(0)==="="?1:2,text:n,tokens:this.lexer.inline(n)}}}paragraph(e){let t=this.rules.block.paragraph.exec(e);if(t){let n=t[1].charAt(t[1].length-
1)===`
`?t[1].slice(0,-1):t[1];return{type:"paragraph",raw:t[0],text:n,tokens:this.lexer.inline(n)}}}text(e){let t=this.rules.block.text.exec(e);if(t)return{type:"text",
raw:t[0],text:t[0],tokens:this.lexer.inline(t[0])}}escape(e){if(e.charCodeAt(0)!==92)return;let t=this.rules.inline.escape.exec(e);if(t)return{type:"escape",raw:t[0],
text:t[1]}}tag(e){if(e.charCodeAt(0)!==60)return;let t=this.rules.inline.tag.exec(e);if(t)return!this.lexer.state.inLink&&this.rules.other.startATag.test(t[0])?
this.lexer.state.inLink=!0:this.lexer.state.inLink&&this.rules.other.endATag.test(t[0])&&(this.lexer.state.inLink=!1),!this.lexer.state.inRawBlock&&this.rules.other.
startPreScriptTag.test(t[0])?this.lexer.state.inRawBlock=!0:this.lexer.state.inRawBlock&&this.rules.other.endPreScriptTag.test(t[0])&&(this.lexer.state.inRawBlock=
!1),{type:"html",raw:t[0],inLink:this.lexer.state.inLink,inRawBlock:this.lexer.state.inRawBlock,block:!1,text:t[0]}}link(e){if(this.lexer.state.linkParenPossible===
!1)return;let t=e.charCodeAt(0);if(t!==91&&t!==33)return;let n=this.rules.inline.link.exec(e);if(n){let r=n[0].charAt(0)==="!"?2:1;if(!this.options.pedantic&&qr(
e,n[1],r,this.rules))return;let i=n[2].trim();if(!this.options.pedantic&&this.rules.other.startAngleBracket.test(i)){if(!this.rules.other.endAngleBracket.test(i))
return;let c=$e(i.slice(0,-1),"\\");if((i.length-c.length)%2===0)return}else{let c=Kr(n[2],"()");if(c===-2)return;if(c>-1){let f=(n[0].indexOf("!")===0?5:4)+n[1].
length+c;n[2]=n[2].substring(0,c),n[0]=n[0].substring(0,f).trim(),n[3]=""}}let l=$e(n[0].slice(0,-1),"\\");if((n[0].length-l.length)%2===0)return;let a=n[2],o="";
if(this.options.pedantic){let c=this.rules.other.pedanticHrefTitle.exec(a);c&&(a=c[1],o=c[3])}else o=n[3]?n[3].slice(1,-1):"";return a=a.trim(),this.rules.other.
startAngleBracket.test(a)&&(this.options.pedantic&&!this.rules.other.endAngleBracket.test(i)?a=a.slice(1):a=a.slice(1,-1)),Wr(n,{href:a&&a.replace(this.rules.inline.
anyPunctuation,"$1"),title:o&&o.replace(this.rules.inline.anyPunctuation,"$1")},n[0],this.lexer,this.rules)}}reflink(e,t){let n=e.charCodeAt(0);if(n!==91&&n!==33)
return;let r;if((r=this.rules.inline.reflink.exec(e))||(r=this.rules.inline.nolink.exec(e))){let i=r[0].charAt(0)==="!"?2:1;if(!this.options.pedantic&&qr(e,r[1],
i,this.rules))return;let l=t[Jt(r[2]||r[1])];if(!l){let a=r[0].charAt(0);return{type:"text",raw:a,text:a}}return Wr(r,l,r[0],this.lexer,this.rules)}}emStrong(e,t,n=""){
let r=this.rules.inline.emStrongLDelim.exec(e);if(!r||!r[1]&&!r[2]&&!r[3]&&!r[4])return;let i=r[0][0],l=n===i,a=t.length-e.length,o=a;for(;!this.options.pedantic&&
o>0&&t[o-1]===i;)o--;let c=[...t.slice(Math.max(0,o-2),o)].at(-1)??"",f=c==="*"||c==="_"||!!this.rules.inline.punctuation.exec(c);o<a&&(n=c);let p=o<a?f:n==="*"||
n==="_"||!!this.rules.inline.punctuation.exec(n);if(r[4]&&n.match(this.rules.other.unicodeAlphaNumeric))return;let b=r[1]||r[3]||"";if(!b||!n||p){let g=[...r[0]].
length-1,_,y,R=g,A=0,N=a-o+g,z=!this.options.pedantic&&!!c.trim()&&(!!b||i==="*"&&!f);if(i!=="*"&&i!=="_")return;let C=i==="*"?this.rules.inline.emStrongRDelimAst:
this.rules.inline.emStrongRDelimUnd,U=ri(this,t,i),$=t.length-e.length+g;if(U<$)return;t=t.slice(-1*e.length+g);let F=U-$;for(C.lastIndex=0;(r=C.exec(t))!==null&&
!(r.index>F);){if(_=r[1]||r[2]||r[3]||r[4]||r[5]||r[6],!_)continue;if(y=[..._].length,r[3]||r[4]){R+=y;continue}else if((r[5]||r[6]||z)&&N%3&&!((N+y)%3)){if(l&&
(r[5]||r[6]))break;A+=y;continue}if(R-=y,R>0)continue;y=Math.min(y,y+R+A);let Z=[...r[0]][0].length,B=e.slice(0,g+r.index+Z+y);if(Math.min(g,y)%2){let he=B.slice(
1,-1);return{type:"em",raw:B,text:he,tokens:this.lexer.inlineTokens(he)}}let K=B.slice(2,-2);return{type:"strong",raw:B,text:K,tokens:this.lexer.inlineTokens(K)}}}}codespan(e){
if(e.charCodeAt(0)!==96)return;let t=this.rules.inline.code.exec(e);if(t){let n=t[2].replace(this.rules.other.newLineCharGlobal," "),r=this.rules.other.nonSpaceChar.
test(n),i=this.rules.other.startingSpaceChar.test(n)&&this.rules.other.endingSpaceChar.test(n);return r&&i&&(n=n.substring(1,n.length-1)),{type:"codespan",raw:t[0],
text:n}}}br(e){let t=e.charCodeAt(0);if(t!==32&&t!==92&&t!==10)return;let n=this.rules.inline.br.exec(e);if(n)return{type:"br",raw:n[0]}}del(e,t,n=""){if(e.charCodeAt(
0)!==126)return;let r=this.rules.inline.delLDelim.exec(e);if(r&&(!r[1]||!n||this.rules.inline.punctuation.exec(n))){let i=[...r[0]].length-1,l,a,o=i,c=this.rules.
inline.delRDelim,f=ii(this,t),p=t.length-e.length+i;if(f<p)return;t=t.slice(-1*e.length+i);let b=f-p;for(c.lastIndex=0;(r=c.exec(t))!==null&&!(r.index>b);){if(l=
r[1]||r[2]||r[3]||r[4]||r[5]||r[6],!l||(a=[...l].length,a!==i))continue;if(r[3]||r[4]){o+=a;continue}if(o-=a,o>0)continue;a=Math.min(a,a+o);let g=[...r[0]][0].length,
_=e.slice(0,i+r.index+g+a),y=_.slice(i,-i);return{type:"del",raw:_,text:y,tokens:this.lexer.inlineTokens(y)}}}}autolink(e){if(e.charCodeAt(0)!==60)return;let t=this.
rules.inline.autolink.exec(e);if(t){let n,r;return t[2]==="@"?(n=t[1],r="mailto:"+n):(n=t[1],r=n),{type:"link",raw:t[0],text:n,href:r,autolink:!0,tokens:[{type:"\
text",raw:n,text:n}]}}}url(e){let t;if(t=this.rules.inline.url.exec(e)){let n,r;if(t[2]==="@")n=t[0],r="mailto:"+n;else{let i;do i=t[0],t[0]=this.rules.inline._backpedal.
exec(t[0])?.[0]??"";while(i!==t[0]);n=t[0],t[1]==="www."?r="http://"+t[0]:r=t[0]}return{type:"link",raw:t[0],text:n,href:r,autolink:!0,tokens:[{type:"text",raw:n,
text:n}]}}}inlineText(e){let t=this.rules.inline.text.exec(e);if(t){let n=this.lexer.state.inRawBlock;return{type:"text",raw:t[0],text:n?t[0]:so(t[0]),escaped:n}}}},
xe=class Pn{tokens;options;state;inlineQueue;tokenizer;constructor(t){this.tokens=[],this.tokens.links=Object.create(null),this.options=t||et,this.options.tokenizer=
this.options.tokenizer||new je,this.tokenizer=this.options.tokenizer,this.tokenizer.options=this.options,this.tokenizer.lexer=this,this.inlineQueue=[],this.state=
{inLink:!1,inRawBlock:!1,linkEmitted:!1,linkParenPossible:!0,top:!0};let n={other:ue,block:Vt.normal,inline:yt.normal};this.options.pedantic?(n.block=Vt.pedantic,
n.inline=yt.pedantic):this.options.gfm&&(n.block=Vt.gfm,this.options.breaks?n.inline=yt.breaks:n.inline=yt.gfm),this.tokenizer.rules=n}static get rules(){return{
block:Vt,inline:yt}}static lex(t,n){return new Pn(n).lex(t)}static lexInline(t,n){return new Pn(n).inlineTokens(t)}lex(t){t=t.replace(ue.carriageReturn,`
`),this.blockTokens(t,this.tokens);for(let n=0;n<this.inlineQueue.length;n++){let r=this.inlineQueue[n];this.state.inRawBlock=!1,this.inlineTokens(r.src,r.tokens)}
return this.inlineQueue=[],this.tokens}blockTokens(t,n=[],r=!1){this.tokenizer.lexer=this;let i=this.state.lastToken;this.options.pedantic&&(t=t.replace(ue.tabCharGlobal,
"    ").replace(ue.spaceLine,""));let l=1/0,a,o=this.options.gfm&&!this.options.pedantic&&this.tokenizer.paragraph===je.prototype.paragraph;for(;t;){if(t.length<
l)l=t.length;else{this.infiniteLoopError(t.charCodeAt(0));break}this.state.lastToken=n.at(-1);let c;if(this.options.extensions?.block?.some(p=>(c=p.call({lexer:this},
t,n))?(t=t.substring(c.raw.length),n.push(c),!0):!1))continue;if(c=this.tokenizer.space(t)){t=t.substring(c.raw.length);let p=n.at(-1);c.raw.length===1&&p!==void 0?
p.raw+=`
`:n.push(c);continue}if(c=this.tokenizer.code(t)){t=t.substring(c.raw.length);let p=n.at(-1);p?.type==="paragraph"||p?.type==="text"?(p.raw+=(p.raw.endsWith(`
`)?"":`
`)+c.raw,p.text+=`
`+c.text,this.inlineQueue.at(-1).src=p.text):n.push(c);continue}if(c=this.tokenizer.fences(t)){t=t.substring(c.raw.length),n.push(c);continue}if(c=this.tokenizer.
heading(t)){t=t.substring(c.raw.length),n.push(c);continue}if(c=this.tokenizer.hr(t)){t=t.substring(c.raw.length),n.push(c);continue}if(c=this.tokenizer.blockquote(
t)){t=t.substring(c.raw.length),n.push(c);continue}if(c=this.tokenizer.list(t)){t=t.substring(c.raw.length),n.push(c);continue}if(c=this.tokenizer.html(t)){t=t.
substring(c.raw.length),n.push(c);continue}if(c=this.tokenizer.def(t)){t=t.substring(c.raw.length);let p=n.at(-1);p?.type==="paragraph"||p?.type==="text"?(p.raw+=
(p.raw.endsWith(`
`)?"":`
`)+c.raw,p.text+=`
`+c.raw,this.inlineQueue.at(-1).src=p.text):(this.tokens.links[c.tag]||(this.tokens.links[c.tag]={href:c.href,title:c.title}),n.push(c));continue}if(c=this.tokenizer.
table(t)){t=t.substring(c.raw.length),n.push(c);continue}if(c=this.tokenizer.lheading(t)){t=t.substring(c.raw.length),n.push(c);continue}let f=t;if(this.options.
extensions?.startBlock){let p=1/0,b=t.slice(1),g;this.options.extensions.startBlock.forEach(_=>{g=_.call({lexer:this},b),typeof g=="number"&&g>=0&&(p=Math.min(p,
g))}),p<1/0&&p>=0&&(f=t.substring(0,p+1))}if(this.state.top&&(c=this.tokenizer.paragraph(f))){let p=n.at(-1);(r||p===a&&o)&&p?.type==="paragraph"?(p.raw+=(p.raw.
endsWith(`
`)?"":`
`)+c.raw,p.text+=`
`+c.text,this.inlineQueue.pop(),this.inlineQueue.at(-1).src=p.text,a=p):(n.push(c),a=c),r=f.length!==t.length,t=t.substring(c.raw.length);continue}if(c=this.tokenizer.
text(t)){t=t.substring(c.raw.length);let p=n.at(-1);p?.type==="text"?(p.raw+=(p.raw.endsWith(`
`)?"":`
`)+c.raw,p.text+=`
`+c.text,this.inlineQueue.pop(),this.inlineQueue.at(-1).src=p.text):n.push(c);continue}if(t){this.infiniteLoopError(t.charCodeAt(0));break}}return this.state.top=
!0,this.state.lastToken=i,n}inline(t,n=[]){return this.inlineQueue.push({src:t,tokens:n}),n}linkInText(t){if(!t.includes("["))return!1;let n=this.tokenizer.rules.
inline.link;for(let r of t.matchAll(this.tokenizer.rules.inline.blockSkip))if(n.test(r[0])&&t.charAt(r.index-1)!=="!")return!0;for(let r of t.matchAll(this.tokenizer.
rules.inline.reflinkSearch)){let i=r[0],l=i.lastIndexOf("[");if(!(i.charAt(0)==="!"||!Object.hasOwn(this.tokens.links,Jt(i.slice(l+1,-1))))&&!(l>1&&this.linkInText(
i.slice(1,l-1))))return!0}return!1}inlineTokens(t,n=[]){this.tokenizer.lexer=this;let r=this.state.linkParenPossible;this.state.linkParenPossible=t.includes(")");
try{return this.#t(t,n)}finally{this.state.linkParenPossible=r}}#t(t,n){let r=t.includes("*")||t.includes("_")||t.includes("~"),i=r||this.options.hooks?.emStrongMask||
this.tokenizer.emStrong!==je.prototype.emStrong||this.tokenizer.del!==je.prototype.del?this.#r(t):t;if(!r)return this.#e(t,i,n);ao(this.tokenizer,i);try{return this.#e(
t,i,n)}finally{oo(this.tokenizer)}}#e(t,n,r){let i=!1,l="",a=1/0;for(;t;){if(t.length<a)a=t.length;else{this.infiniteLoopError(t.charCodeAt(0));break}i||(l=""),
i=!1;let o;if(this.options.extensions?.inline?.some(p=>(o=p.call({lexer:this},t,r))?(t=t.substring(o.raw.length),r.push(o),!0):!1))continue;if(o=this.tokenizer.
escape(t)){t=t.substring(o.raw.length),r.push(o);continue}if(o=this.tokenizer.tag(t)){t=t.substring(o.raw.length),r.push(o);continue}if(o=this.tokenizer.link(t)){
t=t.substring(o.raw.length),r.push(o);continue}if(o=this.tokenizer.reflink(t,this.tokens.links)){t=t.substring(o.raw.length);let p=r.at(-1);o.type==="text"&&p?.
type==="text"?(p.raw+=o.raw,p.text+=o.text):r.push(o);continue}let c=t[0];if(c==="*"||c==="_"){let p=n.length-t.length;if(ri(this.tokenizer,n,c)<=p){let b=1;for(;b<
t.length&&t.charCodeAt(b)===c.charCodeAt(0);)b++;let g=t.substring(0,b),_=r.at(-1);_?.type==="text"&&!_.escaped?(_.raw+=g,_.text+=g):r.push({type:"text",raw:g,text:g,
escaped:!1}),t=t.substring(b),l=c,i=!0;continue}}else if(c==="~"){let p=n.length-t.length;if(ii(this.tokenizer,n)<=p){let b=1;for(;b<t.length&&t.charCodeAt(b)===
126;)b++;let g=t.substring(0,b),_=r.at(-1);_?.type==="text"&&!_.escaped?(_.raw+=g,_.text+=g):r.push({type:"text",raw:g,text:g,escaped:!1}),t=t.substring(b),l=c,
i=!0;continue}}if(o=this.tokenizer.emStrong(t,n,l)){t=t.substring(o.raw.length),r.push(o);continue}if(o=this.tokenizer.codespan(t)){t=t.substring(o.raw.length),
r.push(o);continue}if(o=this.tokenizer.br(t)){t=t.substring(o.raw.length),r.push(o);continue}if(o=this.tokenizer.del(t,n,l)){t=t.substring(o.raw.length),r.push(
o);continue}if(o=this.tokenizer.autolink(t)){t=t.substring(o.raw.length),r.push(o);continue}if(!this.state.inLink&&(o=this.tokenizer.url(t))){t=t.substring(o.raw.
length),r.push(o);continue}let f=t;if(this.options.extensions?.startInline){let p=1/0,b=t.slice(1),g;this.options.extensions.startInline.forEach(_=>{g=_.call({lexer:this},
b),typeof g=="number"&&g>=0&&(p=Math.min(p,g))}),p<1/0&&p>=0&&(f=t.substring(0,p+1))}if(o=this.tokenizer.inlineText(f)){t=t.substring(o.raw.length),o.raw.slice(
-1)!=="_"&&(l=o.raw.slice(-1)),i=!0;let p=r.at(-1);p?.type==="text"?(p.raw+=o.raw,p.text+=o.text):r.push(o);continue}if(t){this.infiniteLoopError(t.charCodeAt(0));
break}}return r}#n(t){let{blockSkip:n,tag:r,autolink:i}=this.tokenizer.rules.inline,l="",a=0,o;for(n.lastIndex=0;o=n.exec(t);){let c=o.index+(o[2]?o[2].length:0),
f=o.index+o[0].length;if(t.charAt(c)==="<"){let p=t.slice(c),b=r.exec(p)||i.exec(p);if(!b){n.lastIndex=c+1;continue}f=c+b[0].length,n.lastIndex=f}l+=t.slice(a,c)+
"["+"a".repeat(f-c-2)+"]",a=f}return l+t.slice(a)}#r(t){let n=t;if(this.tokens.links&&t.includes("[")){let r=this.tokenizer.rules.inline.reflinkSearch,i=l=>{let a=l.
lastIndexOf("[");if(!Object.hasOwn(this.tokens.links,Jt(l.slice(a+1,-1))))return l;if(a>1&&l.charAt(0)!=="!"){let o=l.slice(1,a-1);if(this.linkInText(o))return"\
["+o.replace(r,i)+"]["+"a".repeat(l.length-a-2)+"]"}return"["+"a".repeat(l.length-2)+"]"};n=n.replace(r,i)}return n=n.replace(this.tokenizer.rules.inline.anyPunctuationOutsideCode,
(r,i,l)=>l?"+".repeat(r.length):i?i+r.slice(i.length,-i.length).replace(/`/g,"+")+i:r),n=this.#n(n),n=this.options.hooks?.emStrongMask?.call({lexer:this},n)??n,
n}infiniteLoopError(t){let n="Infinite loop on byte: "+t;if(this.options.silent)console.error(n);else throw new Error(n)}},en=class{options;parser;constructor(e){
this.options=e||et}space(e){return""}code({text:e,lang:t,escaped:n}){let r=(t||"").match(ue.notSpaceStart)?.[0],i=e?e.replace(ue.endingNewline,"")+`
`:"";return r?'<pre><code class="language-'+Ee(r)+'">'+(n?i:Ee(i,!0))+`</code></pre>
`:"<pre><code>"+(n?i:Ee(i,!0))+`</code></pre>
`}blockquote({tokens:e}){return`<blockquote>
${this.parser.parse(e)}</blockquote>
`}html({text:e}){return e}def(e){return""}heading({tokens:e,depth:t}){return`<h${t}>${this.parser.parseInline(e)}</h${t}>
`}hr(e){return`<hr>
`}list(e){let t=e.ordered,n=e.start,r="";for(let a=0;a<e.items.length;a++){let o=e.items[a];r+=this.listitem(o)}let i=t?"ol":"ul",l=t&&n!==1?' start="'+n+'"':"";
return"<"+i+l+`>
`+r+"</"+i+`>
`}listitem(e){return`<li>${this.parser.parse(e.tokens)}</li>
`}checkbox({checked:e}){return"<input "+(e?'checked="" ':"")+'disabled="" type="checkbox"> '}paragraph({tokens:e}){return`<p>${this.parser.parseInline(e)}</p>
`}table(e){let t="",n="";for(let i=0;i<e.header.length;i++)n+=this.tablecell(e.header[i]);t+=this.tablerow({text:n});let r="";for(let i=0;i<e.rows.length;i++){let l=e.
rows[i];n="";for(let a=0;a<l.length;a++)n+=this.tablecell(l[a]);r+=this.tablerow({text:n})}return r&&(r=`<tbody>${r}</tbody>`),`<table>
<thead>
`+t+`</thead>
`+r+`</table>
`}tablerow({text:e}){return`<tr>
${e}</tr>
`}tablecell(e){let t=this.parser.parseInline(e.tokens),n=e.header?"th":"td";return(e.align?`<${n} align="${e.align}">`:`<${n}>`)+t+`</${n}>
`}strong({tokens:e}){return`<strong>${this.parser.parseInline(e)}</strong>`}em({tokens:e}){return`<em>${this.parser.parseInline(e)}</em>`}codespan({text:e}){return`\
<code>${Ee(e,!0)}</code>`}br(e){return"<br>"}del({tokens:e}){return`<del>${this.parser.parseInline(e)}</del>`}link({href:e,title:t,text:n,tokens:r,autolink:i}){
let l=i?Ee(n,!0):this.parser.parseInline(r),a=Fr(e);if(a===null)return l;e=Ee(a,i);let o='<a href="'+e+'"';return t&&(o+=' title="'+Ee(t)+'"'),o+=">"+l+"</a>",o}image({
href:e,title:t,text:n,tokens:r}){r&&(n=this.parser.parseInline(r,this.parser.textRenderer));let i=Fr(e);if(i===null)return Ee(n);e=i;let l=`<img src="${Ee(e)}" \
alt="${Ee(n)}"`;return t&&(l+=` title="${Ee(t)}"`),l+=">",l}text(e){return"tokens"in e&&e.tokens?this.parser.parseInline(e.tokens):"escaped"in e&&e.escaped?e.text:
Ee(e.text)}},Zn=class{parser;strong({text:e,tokens:t}){return t?this.parser.parseInline(t,this):e}em({text:e,tokens:t}){return t?this.parser.parseInline(t,this):
e}codespan({text:e}){return e}del({text:e,tokens:t}){return t?this.parser.parseInline(t,this):e}html({text:e}){return e}text({text:e}){return e}link({text:e,tokens:t}){
return t?this.parser.parseInline(t,this):e}image({text:e,tokens:t}){return t?this.parser.parseInline(t,this):e}br(){return`
`}checkbox({raw:e}){return e}},Ae=class Bn{options;renderer;textRenderer;constructor(t){this.options=t||et,this.options.renderer=this.options.renderer||new en,this.
renderer=this.options.renderer,this.renderer.options=this.options,this.renderer.parser=this,this.textRenderer=new Zn,this.textRenderer.parser=this}static parse(t,n){
return new Bn(n).parse(t)}static parseInline(t,n){return new Bn(n).parseInline(t)}parse(t){this.renderer.parser=this;let n="";for(let r=0;r<t.length;r++){let i=t[r];
if(this.options.extensions?.renderers?.[i.type]){let a=i,o=this.options.extensions.renderers[a.type].call({parser:this},a);if(o!==!1||!["space","hr","heading","\
code","table","blockquote","list","checkbox","html","def","paragraph","text"].includes(a.type)){n+=o===!1?"":o??"";continue}}let l=i;switch(l.type){case"space":{
n+=this.renderer.space(l);break}case"hr":{n+=this.renderer.hr(l);break}case"heading":{n+=this.renderer.heading(l);break}case"code":{n+=this.renderer.code(l);break}case"\
table":{n+=this.renderer.table(l);break}case"blockquote":{n+=this.renderer.blockquote(l);break}case"list":{n+=this.renderer.list(l);break}case"checkbox":{n+=this.
renderer.checkbox(l);break}case"html":{n+=this.renderer.html(l);break}case"def":{n+=this.renderer.def(l);break}case"paragraph":{n+=this.renderer.paragraph(l);break}case"\
text":{n+=this.renderer.text(l);break}default:{let a='Token with "'+l.type+'" type was not found.';if(this.options.silent)return console.error(a),"";throw new Error(
a)}}}return n}parseInline(t,n=this.renderer){this.renderer.parser=this;let r="";for(let i=0;i<t.length;i++){let l=t[i];if(this.options.extensions?.renderers?.[l.
type]){let o=this.options.extensions.renderers[l.type].call({parser:this},l);if(o!==!1||!["escape","html","link","image","checkbox","strong","em","codespan","br",
"del","text"].includes(l.type)){r+=o===!1?"":o??"";continue}}let a=l;switch(a.type){case"escape":{r+=n.text(a);break}case"html":{r+=n.html(a);break}case"link":{
r+=n.link(a);break}case"image":{r+=n.image(a);break}case"checkbox":{r+=n.checkbox(a);break}case"strong":{r+=n.strong(a);break}case"em":{r+=n.em(a);break}case"co\
despan":{r+=n.codespan(a);break}case"br":{r+=n.br(a);break}case"del":{r+=n.del(a);break}case"text":{r+=n.text(a);break}default:{let o='Token with "'+a.type+'" t\
ype was not found.';if(this.options.silent)return console.error(o),"";throw new Error(o)}}}return r}},St=class{options;block;constructor(e){this.options=e||et}static passThroughHooks=new Set(
["preprocess","postprocess","processAllTokens","emStrongMask"]);static passThroughHooksRespectAsync=new Set(["preprocess","postprocess","processAllTokens"]);preprocess(e){
return e}postprocess(e){return e}processAllTokens(e){return e}emStrongMask(e){return e}provideLexer(e=this.block){return e?xe.lex:xe.lexInline}provideParser(e=this.
block){return e?Ae.parse:Ae.parseInline}};function Ge(e,t){if(Array.isArray(t))for(let n=0;n<t.length;n++)e.push(t[n]);else e.push(t)}var si=class{defaults=zn();options=this.
setOptions;parse=this.parseMarkdown(!0);parseInline=this.parseMarkdown(!1);Parser=Ae;Renderer=en;TextRenderer=Zn;Lexer=xe;Tokenizer=je;Hooks=St;constructor(...e){
this.use(...e)}walkTokens(e,t){let n=[];for(let r of e)switch(Ge(n,t.call(this,r)),r.type){case"table":{let i=r;for(let l of i.header)Ge(n,this.walkTokens(l.tokens,
t));for(let l of i.rows)for(let a of l)Ge(n,this.walkTokens(a.tokens,t));break}case"list":{let i=r;Ge(n,this.walkTokens(i.items,t));break}default:{let i=r;this.
defaults.extensions?.childTokens?.[i.type]?this.defaults.extensions.childTokens[i.type].forEach(l=>{let a=i[l].flat(1/0);Ge(n,this.walkTokens(a,t))}):i.tokens&&
Ge(n,this.walkTokens(i.tokens,t))}}return n}use(...e){let t=this.defaults.extensions||{renderers:Object.create(null),childTokens:Object.create(null)};return e.forEach(
n=>{let r={...n};if(r.async=this.defaults.async||r.async||!1,n.extensions&&(n.extensions.forEach(i=>{if(!i.name)throw new Error("extension name required");if("r\
enderer"in i){let l=t.renderers[i.name];l?t.renderers[i.name]=function(...a){let o=i.renderer.apply(this,a);return o===!1&&(o=l.apply(this,a)),o}:t.renderers[i.
name]=i.renderer}if("tokenizer"in i){if(!i.level||i.level!=="block"&&i.level!=="inline")throw new Error("extension level must be 'block' or 'inline'");let l=t[i.
level];l?l.unshift(i.tokenizer):t[i.level]=[i.tokenizer],i.start&&(i.level==="block"?t.startBlock?t.startBlock.push(i.start):t.startBlock=[i.start]:i.level==="i\
nline"&&(t.startInline?t.startInline.push(i.start):t.startInline=[i.start]))}"childTokens"in i&&i.childTokens&&(t.childTokens[i.name]=i.childTokens)}),r.extensions=
t),n.renderer){let i=this.defaults.renderer||new en(this.defaults);for(let l in n.renderer){if(!(l in i))throw new Error(`renderer '${l}' does not exist`);if(["\
options","parser"].includes(l))continue;let a=l,o=n.renderer[a],c=i[a];i[a]=(...f)=>{let p=o.apply(i,f);return p===!1&&(p=c.apply(i,f)),p===!1?"":p??""}}r.renderer=
i}if(n.tokenizer){let i=this.defaults.tokenizer||new je(this.defaults);for(let l in n.tokenizer){if(!(l in i))throw new Error(`tokenizer '${l}' does not exist`);
if(["options","rules","lexer"].includes(l))continue;let a=l,o=n.tokenizer[a],c=i[a];i[a]=(...f)=>{let p=o.apply(i,f);return p===!1&&(p=c.apply(i,f)),p}}r.tokenizer=
i}if(n.hooks){let i=this.defaults.hooks||new St;for(let l in n.hooks){if(!(l in i))throw new Error(`hook '${l}' does not exist`);if(["options","block"].includes(
l))continue;let a=l,o=n.hooks[a],c=i[a];St.passThroughHooks.has(l)?i[a]=f=>{if(i.options.async&&St.passThroughHooksRespectAsync.has(l))return(async()=>{let b=await o.
call(i,f);return c.call(i,b)})();let p=o.call(i,f);return c.call(i,p)}:i[a]=(...f)=>{if(i.options.async)return(async()=>{let b=await o.apply(i,f);return b===!1&&
(b=await c.apply(i,f)),b})();let p=o.apply(i,f);return p===!1&&(p=c.apply(i,f)),p}}r.hooks=i}if(n.walkTokens){let i=this.defaults.walkTokens,l=n.walkTokens;r.walkTokens=
function(a){let o=[];return Ge(o,l.call(this,a)),i&&Ge(o,i.call(this,a)),o}}this.defaults={...this.defaults,...r}}),this}setOptions(e){return this.defaults={...this.
defaults,...e},this}lexer(e,t){return xe.lex(e,t??this.defaults)}parser(e,t){return Ae.parse(e,t??this.defaults)}parseMarkdown(e){return(t,n)=>{let r={...n},i={
...this.defaults,...r},l=this.onError(!!i.silent,!!i.async);if(this.defaults.async===!0&&r.async===!1)return l(new Error("marked(): The async option was set to \
true by an extension. Remove async: false from the parse options object to return a Promise."));if(typeof t>"u"||t===null)return l(new Error("marked(): input pa\
rameter is undefined or null"));if(typeof t!="string")return l(new Error("marked(): input parameter is of type "+Object.prototype.toString.call(t)+", string exp\
ected"));if(i.hooks&&(i.hooks.options=i,i.hooks.block=e),i.async)return(async()=>{let a=i.hooks?await i.hooks.preprocess(t):t,o=await(i.hooks?await i.hooks.provideLexer(
e):e?xe.lex:xe.lexInline)(a,i),c=i.hooks?await i.hooks.processAllTokens(o):o;i.walkTokens&&await Promise.all(this.walkTokens(c,i.walkTokens));let f=await(i.hooks?
await i.hooks.provideParser(e):e?Ae.parse:Ae.parseInline)(c,i);return i.hooks?await i.hooks.postprocess(f):f})().catch(l);try{i.hooks&&(t=i.hooks.preprocess(t));
let a=(i.hooks?i.hooks.provideLexer(e):e?xe.lex:xe.lexInline)(t,i);i.hooks&&(a=i.hooks.processAllTokens(a)),i.walkTokens&&this.walkTokens(a,i.walkTokens);let o=(i.
hooks?i.hooks.provideParser(e):e?Ae.parse:Ae.parseInline)(a,i);return i.hooks&&(o=i.hooks.postprocess(o)),o}catch(a){return l(a)}}}onError(e,t){return n=>{if(n.
message+=`
Please report this to https://github.com/markedjs/marked.`,e){let r="<p>An error occurred:</p><pre>"+Ee(n.message+"",!0)+"</pre>";return t?Promise.resolve(r):r}
if(t)return Promise.reject(n);throw n}}},Je=new si;function V(e,t){return Je.parse(e,t)}V.options=V.setOptions=function(e){return Je.setOptions(e),V.defaults=Je.
defaults,Zr(V.defaults),V};V.getDefaults=zn;V.defaults=et;function uo(...e){return Je.use(...e),V.defaults=Je.defaults,Zr(V.defaults),V}V.use=uo;V.walkTokens=function(e,t){
return Je.walkTokens(e,t)};V.parseInline=Je.parseInline;V.Parser=Ae;V.parser=Ae.parse;V.Renderer=en;V.TextRenderer=Zn;V.Lexer=xe;V.lexer=xe.lex;V.Tokenizer=je;V.
Hooks=St;V.parse=V;var oc=V.options,lc=V.setOptions,cc=V.walkTokens,uc=V.parseInline;var pc=Ae.parse,dc=xe.lex;function po(e,t){this.v=e,this.k=t}function ai(e,t){(t==null||t>e.length)&&(t=e.length);for(var n=0,r=Array(t);n<t;n++)r[n]=e[n];return r}function fo(e){if(Array.
isArray(e))return e}function go(e,t){var n=e==null?null:typeof Symbol<"u"&&e[Symbol.iterator]||e["@@iterator"];if(n!=null){var r,i,l,a,o=[],c=!0,f=!1;try{if(l=(n=
n.call(e)).next,t===0){if(Object(n)!==n)return;c=!1}else for(;!(c=(r=l.call(n)).done)&&(o.push(r.value),o.length!==t);c=!0);}catch(p){f=!0,i=p}finally{try{if(!c&&
n.return!=null&&(a=n.return(),Object(a)!==a))return}finally{if(f)throw i}}return o}}function ho(){throw new TypeError(`Invalid attempt to destructure non-iterab\
le instance.
In order to be iterable, non-array objects must have a [Symbol.iterator]() method.`)}function mo(e,t){return fo(e)||go(e,t)||bo(e,t)||ho()}function bo(e,t){if(e){
if(typeof e=="string")return ai(e,t);var n={}.toString.call(e).slice(8,-1);return n==="Object"&&e.constructor&&(n=e.constructor.name),n==="Map"||n==="Set"?Array.
from(e):n==="Arguments"||/^(?:Ui|I)nt(?:8|16|32)(?:Clamped)?Array$/.test(n)?ai(e,t):void 0}}function tn(e){var t,n;function r(l,a){try{var o=e[l](a),c=o.value,f=c instanceof
po;Promise.resolve(f?c.v:c).then(function(p){if(f){var b=l==="return"&&c.k?l:"next";if(!c.k||p.done)return r(b,p);p=e[b](p).value}i(!!o.done,p)},function(p){r("\
throw",p)})}catch(p){i(2,p)}}function i(l,a){l===2?t.reject(a):t.resolve({value:a,done:l}),(t=t.next)?r(t.key,t.arg):n=null}this._invoke=function(l,a){return new Promise(
function(o,c){var f={key:l,arg:a,resolve:o,reject:c,next:null};n?n=n.next=f:(t=n=f,r(l,a))})},typeof e.return!="function"&&(this.return=void 0)}tn.prototype[typeof Symbol==
"function"&&Symbol.asyncIterator||"@@asyncIterator"]=function(){return this},tn.prototype.next=function(e){return this._invoke("next",e)},tn.prototype.throw=function(e){
return this._invoke("throw",e)},tn.prototype.return=function(e){return this._invoke("return",e)};var Si=Object.entries,_o=Object.keys,oi=Object.setPrototypeOf,Eo=Object.
isFrozen,xi=Object.getPrototypeOf,Ai=Object.getOwnPropertyDescriptor,le=Object.freeze,ne=Object.seal,We=Object.create,wi=typeof Reflect<"u"&&Reflect,rn=wi.apply,
ir=wi.construct;le||(le=function(t){return t});ne||(ne=function(t){return t});rn||(rn=function(t,n){for(var r=arguments.length,i=new Array(r>2?r-2:0),l=2;l<r;l++)
i[l-2]=arguments[l];return t.apply(n,i)});ir||(ir=function(t){for(var n=arguments.length,r=new Array(n>1?n-1:0),i=1;i<n;i++)r[i-1]=arguments[i];return new t(...r)});
var we=j(Array.prototype.forEach),ko=j(Array.prototype.lastIndexOf),li=j(Array.prototype.pop),Rt=j(Array.prototype.push),ci=j(Array.prototype.slice),To=j(Array.
prototype.splice),ft=Array.isArray,Yn=sr(Set),Xn=j(Set.prototype.add),Nt=j(Set.prototype.has),yo=j(Set.prototype.delete),So=sr(Map),ui=j(Map.prototype.get),pi=j(
Map.prototype.set),Ue=j(String.prototype.toLowerCase),Vn=j(String.prototype.toString),xo=j(String.prototype.match),Ot=j(String.prototype.replace),Qn=j(String.prototype.
indexOf),Ao=j(String.prototype.trim),wo=j(Number.prototype.toString),Ro=j(Boolean.prototype.toString),di=typeof BigInt>"u"?null:j(BigInt.prototype.toString),fi=typeof Symbol>
"u"?null:j(Symbol.prototype.toString),me=j(Object.prototype.hasOwnProperty),vt=j(Object.prototype.toString),No=RegExp.prototype.test,ae=function(t,n){return t instanceof
RegExp&&(t.lastIndex=0),rn(No,t,[n])},Me=sr(TypeError);function j(e){return function(t){for(var n=arguments.length,r=new Array(n>1?n-1:0),i=1;i<n;i++)r[i-1]=arguments[i];
return rn(e,t,r)}}function sr(e){return function(){for(var t=arguments.length,n=new Array(t),r=0;r<t;r++)n[r]=arguments[r];return ir(e,n)}}function G(e,t){let n=arguments.
length>2&&arguments[2]!==void 0?arguments[2]:Ue;if(oi&&oi(e,null),!ft(t))return e;let r=t.length;for(;r--;){let i=t[r];if(typeof i=="string"){let l=n(i);l!==i&&
(Eo(t)||(t[r]=l),i=l)}e[i]=!0}return e}function Oo(e){for(let t=0;t<e.length;t++)me(e,t)||(e[t]=null);return e}function sn(e){let t=We(null);for(let r of Si(e)){
var n=mo(r,2);let i=n[0],l=n[1];me(e,i)&&(ft(l)?t[i]=Oo(l):l&&typeof l=="object"&&l.constructor===Object?t[i]=sn(l):t[i]=l)}return t}function It(e){let t=We(null),
n=_o(e),r=n.length;for(;r--;)t[n[r]]=e[n[r]];return t}function vo(e){switch(typeof e){case"string":return e;case"number":return wo(e);case"boolean":return Ro(e);case"\
bigint":return di?di(e):"0";case"symbol":return fi?fi(e):"Symbol()";case"undefined":return vt(e);case"function":case"object":{if(e===null)return vt(e);let t=e,n=ke(
t,"toString");if(typeof n=="function"){let r=n(t);return typeof r=="string"?r:vt(r)}return vt(e)}default:return vt(e)}}function ke(e,t){for(;e!==null;){let r=Ai(
e,t);if(r){if(r.get)return j(r.get);if(typeof r.value=="function")return j(r.value)}e=xi(e)}function n(){return null}return n}function Io(e,t){for(;e!==null;){let n=Ai(
e,t);if(n)return n.get?j(n.get):null;e=xi(e)}return null}function Co(e){if(!e)return!1;try{return ae(e,""),!0}catch{return!1}}var gi=le(["a","abbr","acronym","a\
ddress","area","article","aside","audio","b","bdi","bdo","big","blink","blockquote","body","br","button","canvas","caption","center","cite","code","col","colgro\
up","content","data","datalist","dd","decorator","del","details","dfn","dialog","dir","div","dl","dt","element","em","fieldset","figcaption","figure","font","fo\
oter","form","h1","h2","h3","h4","h5","h6","head","header","hgroup","hr","html","i","img","input","ins","kbd","label","legend","li","main","map","mark","marquee",
"menu","menuitem","meter","nav","nobr","ol","optgroup","option","output","p","picture","pre","progress","q","rp","rt","ruby","s","samp","search","section","sele\
ct","shadow","slot","small","source","spacer","span","strike","strong","style","sub","summary","sup","table","tbody","td","template","textarea","tfoot","th","th\
ead","time","tr","track","tt","u","ul","var","video","wbr"]),jn=le(["svg","a","altglyph","altglyphdef","altglyphitem","animatecolor","animatemotion","animatetra\
nsform","circle","clippath","defs","desc","ellipse","filter","font","g","glyph","glyphref","hkern","image","line","lineargradient","marker","mask","metadata","m\
path","path","pattern","polygon","polyline","radialgradient","rect","stop","style","switch","symbol","text","textpath","title","tref","tspan","view","vkern"]),Jn=le(
["feBlend","feColorMatrix","feComponentTransfer","feComposite","feConvolveMatrix","feDiffuseLighting","feDisplacementMap","feDistantLight","feDropShadow","feFlo\
od","feFuncA","feFuncB","feFuncG","feFuncR","feGaussianBlur","feImage","feMerge","feMergeNode","feMorphology","feOffset","fePointLight","feSpecularLighting","fe\
SpotLight","feTile","feTurbulence"]),Mo=le(["animate","color-profile","cursor","discard","font-face","font-face-format","font-face-name","font-face-src","font-f\
ace-uri","foreignobject","hatch","hatchpath","mesh","meshgradient","meshpatch","meshrow","missing-glyph","script","set","solidcolor","unknown","use"]),er=le(["m\
ath","menclose","merror","mfenced","mfrac","mglyph","mi","mlabeledtr","mmultiscripts","mn","mo","mover","mpadded","mphantom","mroot","mrow","ms","mspace","msqrt",
"mstyle","msub","msup","msubsup","mtable","mtd","mtext","mtr","munder","munderover","mprescripts"]),Lo=le(["maction","maligngroup","malignmark","mlongdiv","msca\
rries","mscarry","msgroup","mstack","msline","msrow","semantics","annotation","annotation-xml","mprescripts","none"]),hi=le(["#text"]),mi=le(["accept","action",
"align","alt","autocapitalize","autocomplete","autopictureinpicture","autoplay","background","bgcolor","border","capture","cellpadding","cellspacing","checked",
"cite","class","clear","color","cols","colspan","command","commandfor","controls","controlslist","coords","crossorigin","datetime","decoding","default","dir","d\
isabled","disablepictureinpicture","disableremoteplayback","download","draggable","enctype","enterkeyhint","exportparts","face","for","headers","height","hidden",
"high","href","hreflang","id","inert","inputmode","integrity","ismap","kind","label","lang","list","loading","loop","low","max","maxlength","media","method","mi\
n","minlength","multiple","muted","name","nonce","noshade","novalidate","nowrap","open","optimum","part","pattern","placeholder","playsinline","popover","popove\
rtarget","popovertargetaction","poster","preload","pubdate","radiogroup","readonly","rel","required","rev","reversed","role","rows","rowspan","spellcheck","scop\
e","selected","shape","size","sizes","slot","span","srclang","start","src","srcset","step","style","summary","tabindex","title","translate","type","usemap","val\
ign","value","width","wrap","xmlns"]),tr=le(["accent-height","accumulate","additive","alignment-baseline","amplitude","ascent","attributename","attributetype","\
azimuth","basefrequency","baseline-shift","begin","bias","by","class","clip","clippathunits","clip-path","clip-rule","color","color-interpolation","color-interp\
olation-filters","color-profile","color-rendering","cx","cy","d","dx","dy","diffuseconstant","direction","display","divisor","dominant-baseline","dur","edgemode",
"elevation","end","exponent","fill","fill-opacity","fill-rule","filter","filterunits","flood-color","flood-opacity","font-family","font-size","font-size-adjust",
"font-stretch","font-style","font-variant","font-weight","fx","fy","g1","g2","glyph-name","glyphref","gradientunits","gradienttransform","height","href","id","i\
mage-rendering","in","in2","intercept","k","k1","k2","k3","k4","kerning","keypoints","keysplines","keytimes","lang","lengthadjust","letter-spacing","kernelmatri\
x","kernelunitlength","lighting-color","local","marker-end","marker-mid","marker-start","markerheight","markerunits","markerwidth","maskcontentunits","maskunits",
"max","mask","mask-type","media","method","mode","min","name","numoctaves","offset","operator","opacity","order","orient","orientation","origin","overflow","pai\
nt-order","path","pathlength","patterncontentunits","patterntransform","patternunits","pointer-events","points","preservealpha","preserveaspectratio","primitive\
units","r","rx","ry","radius","refx","refy","repeatcount","repeatdur","restart","result","rotate","scale","seed","shape-rendering","slope","specularconstant","s\
pecularexponent","spreadmethod","startoffset","stddeviation","stitchtiles","stop-color","stop-opacity","stroke-dasharray","stroke-dashoffset","stroke-linecap","\
stroke-linejoin","stroke-miterlimit","stroke-opacity","stroke","stroke-width","style","surfacescale","systemlanguage","tabindex","tablevalues","targetx","target\
y","transform","transform-origin","text-anchor","text-decoration","text-orientation","text-rendering","textlength","type","u1","u2","unicode","values","vector-e\
ffect","viewbox","visibility","version","vert-adv-y","vert-origin-x","vert-origin-y","width","word-spacing","wrap","writing-mode","xchannelselector","ychannelse\
lector","x","x1","x2","xmlns","y","y1","y2","z","zoomandpan"]),bi=le(["accent","accentunder","align","bevelled","close","columnalign","columnlines","columnspaci\
ng","columnspan","denomalign","depth","dir","display","displaystyle","encoding","fence","frame","height","href","id","largeop","length","linethickness","lquote",
"lspace","mathbackground","mathcolor","mathsize","mathvariant","maxsize","minsize","movablelimits","notation","numalign","open","rowalign","rowlines","rowspacin\
g","rowspan","rspace","rquote","scriptlevel","scriptminsize","scriptsizemultiplier","selection","separator","separators","stretchy","subscriptshift","supscripts\
hift","symmetric","voffset","width","xmlns"]),nn=le(["xlink:href","xml:id","xlink:title","xml:space","xmlns:xlink"]),Do=ne(/{{[\w\W]*|^[\w\W]*}}/g),Po=ne(/<%[\w\W]*|^[\w\W]*%>/g),
Bo=ne(/\${[\w\W]*/g),_i=ne(/{{|}}|\${|<%|%>/),zo=ne(/[^\t\n\f\r ]/),Ei=ne(/\u0000/g),$o=ne(/^data-[\-\w.\u00B7-\uFFFF]+$/),Uo=ne(/^aria-[\-\w]+$/),ki=ne(/^(?:(?:(?:f|ht)tps?|mailto|tel|callto|sms|cid|xmpp|matrix):|[^a-z]|[a-z+.\-]+(?:[^a-z+.\-:]|$))/i),
Fo=ne(/^(?:\w+script|data):/i),Ho=ne(/[\u0000-\u0020\u00A0\u1680\u180E\u2000-\u2029\u205F\u3000]/g),Go=ne(/^html$/i),Ko=ne(/^[a-z][.\w]*(-[.\w]+)+$/i),nr=ne(/<[/\w!]/g),
Wo=ne(/<[/\w]/g),qo=ne(/<[/\w]|^-?>|--!?>|<!-$/g),Zo=ne(/<\/no(script|embed|frames)/i),Ti=ne(/\/>/i),Yo=ne(/((--!?|])>)|<\/(style|script|title|xmp|textarea|noscript|iframe|noembed|noframes)/i),
Xo=ne(/^[\r\n\t ]+/),J={element:1,text:3,processingInstruction:7,comment:8,document:9,documentFragment:11},Vo=le(G({},["style","script","xmp","iframe","noembed",
"noframes","plaintext","noscript"])),Qo=le(G({},["textarea","title"])),jo=le(G({},["area","base","basefont","bgsound","br","col","embed","frame","hr","img","inp\
ut","keygen","link","meta","param","source","track","wbr"])),Jo=function(){return typeof window>"u"?null:window},el=function(t,n){if(typeof t!="object"||typeof t.
createPolicy!="function")return null;let r=null,i="data-tt-policy-suffix";n&&n.hasAttribute(i)&&(r=n.getAttribute(i));let l="dompurify"+(r?"#"+r:"");try{return t.
createPolicy(l,{createHTML(a){return a},createScriptURL(a){return a}})}catch{return console.warn("TrustedTypes policy "+l+" could not be created."),null}},yi=function(){
return{afterSanitizeAttributes:[],afterSanitizeElements:[],afterSanitizeShadowDOM:[],beforeSanitizeAttributes:[],beforeSanitizeElements:[],beforeSanitizeShadowDOM:[],
uponSanitizeAttribute:[],uponSanitizeElement:[],uponSanitizeShadowNode:[]}},Ke=function(t,n,r,i){return me(t,n)&&ft(t[n])?G(i.base?It(i.base):{},t[n],i.transform):
r},rr=function(t,n,r){let i=me(t,n)?t[n]:void 0;return i&&typeof i=="object"?sn(i):r};function Ri(){let e=arguments.length>0&&arguments[0]!==void 0?arguments[0]:
Jo(),t=E=>Ri(E);if(t.version="3.5.0",t.removed=[],!e||!e.document||e.document.nodeType!==J.document||!e.Element)return t.isSupported=!1,t;let n=e.document,r=n,i=r.
currentScript,l=e.HTMLTemplateElement,a=e.Node,o=e.Element,c=e.NodeFilter,f=e.DOMParser,p=e.trustedTypes,b=o.prototype,g=ke(b,"cloneNode"),_=ke(b,"remove"),y=ke(
b,"removeChild"),R=ke(b,"removeAttributeNode"),A=ke(b,"nextSibling"),N=ke(b,"childNodes"),z=ke(b,"parentNode"),C=ke(b,"shadowRoot"),U=ke(b,"attributes"),$=a&&a.
prototype?ke(a.prototype,"nodeType"):null,F=a&&a.prototype?ke(a.prototype,"nodeName"):null,Z=a&&a.prototype?ke(a.prototype,"ownerDocument"):null,B=function(s){return $?
$(s):s.nodeType},K=function(s){return F?F(s):s.nodeName},he=Io(b,"namespaceURI"),be=function(s){return he?he(s):s.namespaceURI},Re=function(s){return B(s)===J.element?
U(s):null};if(typeof l=="function"){let E=n.createElement("template");E.content&&E.content.ownerDocument&&(n=E.content.ownerDocument)}let Q,q="",Se,m=!1,S=0,x=function(){
if(S>0)throw Me('A configured TRUSTED_TYPES_POLICY callback (createHTML or createScriptURL) must not call DOMPurify.sanitize, as that causes infinite recursion.\
 Do not pass a policy whose callbacks wrap DOMPurify as TRUSTED_TYPES_POLICY; see the "DOMPurify and Trusted Types" section of the README.')},M=function(s){x(),
S++;try{return Q.createHTML(s)}finally{S--}},H=function(s){return Q&&En?M(s):s},ee=function(s){x(),S++;try{return Q.createScriptURL(s)}finally{S--}},pe=function(){
return m||(Se=el(p,i),m=!0),Se},_e=n,fe=_e.implementation,Te=_e.createNodeIterator,Lt=_e.createDocumentFragment,Dt=_e.getElementsByTagName,Pt=r.importNode,te=yi();
t.isSupported=typeof Si=="function"&&typeof z=="function"&&fe&&fe.createHTMLDocument!==void 0;let gn=Do,hn=Po,mn=Bo,rt=$o,Bt=Uo,ye=Fo,bn=Ho,bt=Ko,L=ki,Y=null,re=G(
{},[...gi,...jn,...Jn,...er,...hi]),I=null,Fe=G({},[...mi,...tr,...bi,...nn]),de=null,Le=null,it=null,k=Object.seal(We(null,{tagCheck:{writable:!0,configurable:!1,
enumerable:!0,value:null},attributeCheck:{writable:!0,configurable:!1,enumerable:!0,value:null}})),w=!0,P=!0,W=!1,oe=!0,ce=!1,De=!0,Pe=!1,zt=!1,$t=null,Ut=null,
_n=!1,st=!1,Ft=!1,En=!1,fr=!0,gr=!1,hr="user-content-",kn=!0,Tn=!1,Be=null,Ze=null,at=!1,Ye=null,mr=G({},["annotation-xml","audio","colgroup","desc","foreignobj\
ect","head","iframe","math","mi","mn","mo","ms","mtext","noembed","noframes","noscript","plaintext","script","selectedcontent","style","svg","template","thead",
"title","video","xmp"]),br=null,_r=G({},["audio","video","img","source","image","track"]),Er=null,kr=G({},["alt","class","for","id","label","name","pattern","pl\
aceholder","role","summary","title","value","style","xmlns"]),Ht="http://www.w3.org/1998/Math/MathML",Gt="http://www.w3.org/2000/svg",Ne="http://www.w3.org/1999\
/xhtml",ot=Ne,yn=!1,Tr=null,xs=G({},[Ht,Gt,Ne],Vn),As=le(G({},["mi","mo","mn","ms","mtext"])),Sn=null,ws=le(G({},["annotation-xml"])),xn=null,Rs=le(We(null)),Ns=G(
{},["title","style","font","a","script"]),lt=null,Os=["application/xhtml+xml","text/html"],vs="text/html",ie=null,_t=null,Kt=null,Is=n.createElement("form"),yr=function(s){
return s instanceof RegExp||s instanceof Function},Wt=function(){let s=arguments.length>0&&arguments[0]!==void 0?arguments[0]:{};(!s||typeof s!="object")&&(s={}),
s=sn(s),lt=Os.indexOf(s.PARSER_MEDIA_TYPE)===-1?vs:s.PARSER_MEDIA_TYPE,ie=lt==="application/xhtml+xml"?Vn:Ue,Y=Ke(s,"ALLOWED_TAGS",re,{transform:ie}),I=Ke(s,"AL\
LOWED_ATTR",Fe,{transform:ie}),Tr=Ke(s,"ALLOWED_NAMESPACES",xs,{transform:Vn}),Er=Ke(s,"ADD_URI_SAFE_ATTR",kr,{transform:ie,base:kr}),br=Ke(s,"ADD_DATA_URI_TAGS",
_r,{transform:ie,base:_r}),Ye=Ke(s,"FORBID_CONTENTS",mr,{transform:ie}),Le=Ke(s,"FORBID_TAGS",We(null),{transform:ie}),it=Ke(s,"FORBID_ATTR",We(null),{transform:ie}),
at=me(s,"USE_PROFILES")?s.USE_PROFILES&&typeof s.USE_PROFILES=="object"?sn(s.USE_PROFILES):s.USE_PROFILES:!1,w=s.ALLOW_ARIA_ATTR!==!1,P=s.ALLOW_DATA_ATTR!==!1,W=
s.ALLOW_UNKNOWN_PROTOCOLS||!1,oe=s.ALLOW_SELF_CLOSE_IN_ATTR!==!1,ce=s.SAFE_FOR_TEMPLATES||!1,De=s.SAFE_FOR_XML!==!1,Pe=s.WHOLE_DOCUMENT||!1,st=s.RETURN_DOM||!1,
Ft=s.RETURN_DOM_FRAGMENT||!1,En=s.RETURN_TRUSTED_TYPE||!1,_n=s.FORCE_BODY||!1,fr=s.SANITIZE_DOM!==!1,gr=s.SANITIZE_NAMED_PROPS||!1,kn=s.KEEP_CONTENT!==!1,Tn=s.IN_PLACE||
!1,L=Co(s.ALLOWED_URI_REGEXP)?s.ALLOWED_URI_REGEXP:ki,ot=typeof s.NAMESPACE=="string"?s.NAMESPACE:Ne,Sn=rr(s,"MATHML_TEXT_INTEGRATION_POINTS",As),xn=rr(s,"HTML_\
INTEGRATION_POINTS",ws);let u=rr(s,"CUSTOM_ELEMENT_HANDLING",Rs);if(de=We(null),me(u,"tagNameCheck")&&yr(u.tagNameCheck)&&(de.tagNameCheck=u.tagNameCheck),me(u,
"attributeNameCheck")&&yr(u.attributeNameCheck)&&(de.attributeNameCheck=u.attributeNameCheck),me(u,"allowCustomizedBuiltInElements")&&typeof u.allowCustomizedBuiltInElements==
"boolean"&&(de.allowCustomizedBuiltInElements=u.allowCustomizedBuiltInElements),ne(de),ce&&(P=!1),Ft&&(st=!0),at&&((me(s,"ALLOWED_TAGS")||me(s,"ALLOWED_ATTR"))&&
typeof console<"u"&&typeof console.warn=="function"&&console.warn("DOMPurify: USE_PROFILES overrides ALLOWED_TAGS and ALLOWED_ATTR. Do not use these options tog\
ether."),Y=G({},hi),I=We(null),at.html===!0&&(G(Y,gi),G(I,mi)),at.svg===!0&&(G(Y,jn),G(I,tr),G(I,nn)),at.svgFilters===!0&&(G(Y,Jn),G(I,tr),G(I,nn)),at.mathMl===
!0&&(G(Y,er),G(I,bi),G(I,nn))),k.tagCheck=null,k.attributeCheck=null,me(s,"ADD_TAGS")&&(typeof s.ADD_TAGS=="function"?k.tagCheck=s.ADD_TAGS:ft(s.ADD_TAGS)&&(Y===
re&&(Y=It(Y)),G(Y,s.ADD_TAGS,ie))),me(s,"ADD_ATTR")&&(typeof s.ADD_ATTR=="function"?k.attributeCheck=s.ADD_ATTR:ft(s.ADD_ATTR)&&(I===Fe&&(I=It(I)),G(I,s.ADD_ATTR,
ie))),me(s,"ADD_FORBID_CONTENTS")&&ft(s.ADD_FORBID_CONTENTS)&&(Ye===mr&&(Ye=It(Ye)),G(Ye,s.ADD_FORBID_CONTENTS,ie)),kn&&(Y["#text"]=!0),Pe&&G(Y,["html","head","\
body"]),Y.table&&(Y.tbody=!0,delete Le.tbody),s.TRUSTED_TYPES_POLICY){if(typeof s.TRUSTED_TYPES_POLICY.createHTML!="function")throw Me('TRUSTED_TYPES_POLICY con\
figuration option must provide a "createHTML" hook.');if(typeof s.TRUSTED_TYPES_POLICY.createScriptURL!="function")throw Me('TRUSTED_TYPES_POLICY configuration \
option must provide a "createScriptURL" hook.');let d=Q;Q=s.TRUSTED_TYPES_POLICY;try{q=M("")}catch(h){throw Q=d,h}}else s.TRUSTED_TYPES_POLICY===null?(Q=void 0,
q=""):(Q===void 0&&(Q=pe()),Q&&typeof q=="string"&&(q=M("")));_t=le(s)},Sr=G({},[...jn,...Jn,...Mo]),xr=G({},[...er,...Lo]),Cs=function(s,u,d){return u===Ne?s===
"svg":u===Ht?s==="svg"&&(d==="annotation-xml"||Sn[d]):!!Sr[s]},Ms=function(s,u,d){return u===Ne?s==="math":u===Gt?s==="math"&&xn[d]:!!xr[s]},Ls=function(s,u,d){
return u===Gt&&!xn[d]||u===Ht&&!Sn[d]?!1:!xr[s]&&(Ns[s]||!Sr[s])},Ds=function(s){let u=be(s),d=Ue(K(s)),h=z(s),T=ot,O="template";return h&&B(h)===J.element&&(T=
be(h),O=Ue(K(h))),Tr[u]?u===Gt?Cs(d,T,O):u===Ht?Ms(d,T,O):u===Ne?Ls(d,T,O):lt==="application/xhtml+xml":!1},He=function(s){Rt(t.removed,{element:s}),Nr(s);try{z(
s).removeChild(s)}catch{if(_(s),!z(s))throw Me("a node selected for removal could not be detached from its tree and cannot be safely returned; refusing to sanit\
ize in place")}},Ar=function(s,u,d){try{R(s,u)}catch{try{s.removeAttribute(d)}catch{}}},Ps=function(s){Rn(s);let u=N(s);u&&we(ci(u),d=>{try{y(s,d)}catch{}}),B(s)===
J.element&&An(s,!1)},ct=function(s,u,d){if(!d)try{d=u.getAttributeNode(s)}catch{d=null}if(Rt(t.removed,{attribute:d||null,from:u}),d)Ar(u,d,s);else try{u.removeAttribute(
s)}catch{}if(s==="is")if(st||Ft)try{He(u)}catch{}else try{u.setAttribute(s,"")}catch{}},An=function(s,u){let d=U(s);if(d)for(let h=d.length-1;h>=0;--h){let T=d[h],
O=T&&T.name;typeof O=="string"&&!(u&&I[ie(O)])&&Ar(s,T,O)}},wn=function(s,u){let d=arguments.length>2&&arguments[2]!==void 0?arguments[2]:!1,h=[s];for(;h.length>
0;){let T=h.pop();if(u(T)===!1)continue;if(d&&B(T)===J.element){let v=C(T);ut(v)&&h.push(v)}let O=N(T);if(O)for(let v=O.length-1;v>=0;--v)h.push(O[v])}},Rn=function(s){
wn(s,u=>{B(u)===J.element&&An(u,!0)})},Nn=function(s){let u=[];return wn(s,d=>{u.push(d)},!0),u},Bs=function(s,u){let d=Yn();we(Nn(s),h=>{B(h)===J.element&&Xn(d,
h)}),we(u,h=>{B(h)===J.element&&!Nt(d,h)&&An(h,!0)})},wr=function(s,u){let d=!1;return we(t.removed,h=>{h.element&&(d=d||h.element===s,Rn(h.element))}),Bs(s,u),
d},On=function(s,u){Ps(s),wr(s,u)},Rr=8,zs=function(s,u){let d=Be,h=null,T=()=>(h||(h=Yn(),we(u,O=>{Xn(h,O)})),h);for(let O=0;;O++){let v=Nn(s),X=[s],ze=!1;if(we(
v,ve=>{B(ve)===J.documentFragment?Rt(X,ve):!ze&&!Nt(d,ve)&&(ze=Nt(T(),ve))}),!ze)return;if(O>=Rr)throw Me("the tree kept changing during in-place sanitization; \
refusing to return it");we(X,(ve,Ie)=>{$s(ve,Ie>0,s,T())})}},$s=function(s,u,d,h){let T=qt(s),O;for(;O=T.nextNode();)!Nt(h,O)||Nt(Be,O)||(u&&Oe(te.uponSanitizeShadowNode,
O,null),Cn(O,d))},Us=function(s){if(!Be)return;Xn(Be,s);let u=ui(Ze,s);if(u!==void 0){if(u>=Rr)throw Me("the tree kept changing during in-place sanitization; re\
fusing to return it");pi(Ze,s,u+1)}},Nr=function(s){Be&&(yo(Be,s),ui(Ze,s)===void 0&&pi(Ze,s,0))},Or=function(s,u){return De?s==="patchsrc"?!0:s==="for"&&u!=="l\
abel"&&u!=="output":!1},Fs=function(s){De&&wn(s,u=>{let d=B(u);if(d===J.processingInstruction||d===J.comment&&ae(Wo,u.data)){try{_(u)}catch{}return!1}if(d===J.element){
let h=u,T=ie(K(u));try{h.hasAttribute&&h.hasAttribute("patchsrc")&&h.removeAttribute("patchsrc"),h.hasAttribute&&h.hasAttribute("for")&&Or("for",T)&&h.removeAttribute(
"for")}catch{}}return!0})},vr=function(s){let u=null,d=null;if(_n)s="<remove></remove>"+s;else{let O=xo(s,Xo);d=O&&O[0]}lt==="application/xhtml+xml"&&ot===Ne&&(s=
'<html xmlns="http://www.w3.org/1999/xhtml"><head></head><body>'+s+"</body></html>");let h=Q?M(s):s;if(ot===Ne)try{u=new f().parseFromString(h,lt)}catch{}if(!u||
!u.documentElement){u=fe.createDocument(ot,"template",null);try{u.documentElement.innerHTML=yn?q:h}catch{}}let T=u.body||u.documentElement;return s&&d&&T.insertBefore(
n.createTextNode(d),T.childNodes[0]||null),ot===Ne?Dt.call(u,Pe?"html":"body")[0]:Pe?u.documentElement:T},qt=function(s){let u=arguments.length>1&&arguments[1]!==
void 0?arguments[1]:!1,d=Z?Z(s):s.ownerDocument;return Te.call(d||s,s,(u?0:c.SHOW_ELEMENT)|c.SHOW_COMMENT|c.SHOW_TEXT|c.SHOW_PROCESSING_INSTRUCTION|c.SHOW_CDATA_SECTION,
null)},Zt=function(s){return s=Ot(s,gn," "),s=Ot(s,hn," "),s=Ot(s,mn," "),s},vn=function(s){var u;In(s);let d=(u=s.querySelectorAll)===null||u===void 0?void 0:u.
call(s,"template");d&&we(d,h=>{ut(h.content)&&vn(h.content)})},Hs="table,tbody,thead,tfoot,tr,colgroup",Gs=G({},["caption","colgroup","col","thead","tbody","tfo\
ot","tr","td","th","style","script","template"]),Ks=function(s){var u;if(lt==="application/xhtml+xml")return;let d=(u=s.querySelectorAll)===null||u===void 0?void 0:
u.call(s,Hs);!d||d.length===0||we(d,h=>{we(ci(N(h)),T=>{let O=B(T);if(!(O===J.text?ae(zo,T.data):O===J.element&&!Gs[Ue(K(T))]))return;let v=h;for(;v&&Ue(K(v))!==
"table";)v=v===s?null:z(v);let X=v&&v!==s?z(v):null;if(X)try{X.insertBefore(T,v)}catch{}})})},In=function(s){Ks(s),s.normalize();let u=qt(s,!0),d=null,h=u.nextNode();
for(;h;){let T=h.data;if(ae(Ei,T)&&(T=Ot(T,Ei,""),h.data=T),ae(_i,T)&&(T=Zt(T),h.data=T),T&&B(h)===J.text){if(d){let O=d.data,v=O[O.length-1]+T[0];ae(_i,v)&&(d.
data=Zt(O+T[0]))}d=h}h=u.nextNode()}},Yt=function(s){let u=F?F(s):null;return typeof u!="string"||ie(u)!=="form"?!1:typeof s.nodeName!="string"||typeof s.textContent!=
"string"||typeof s.removeChild!="function"||s.attributes!==U(s)||typeof s.removeAttribute!="function"||typeof s.removeAttributeNode!="function"||typeof s.getAttributeNode!=
"function"||typeof s.setAttribute!="function"||typeof s.namespaceURI!="string"||typeof s.insertBefore!="function"||typeof s.hasChildNodes!="function"||s.nodeType!==
$(s)||s.childNodes!==N(s)},Ir=function(s){if(!$||typeof s!="object"||s===null)return null;try{let u=$(s);return typeof u=="number"?u:null}catch{return null}},ut=function(s){
return Ir(s)===J.documentFragment},Et=function(s){return Ir(s)!==null};function Oe(E,s,u){E.length!==0&&we(E,d=>{d.call(t,s,u,_t)})}let Ws=function(s,u){let d=!!jo[u],
h=!!Vo[u];return!d&&!h&&!Qo[u]||be(s)!==Ne?!1:d?s.hasChildNodes():Et(s.firstElementChild)?!0:h&&typeof s.textContent=="string"&&ae(nr,s.textContent)},qs=function(s,u,d){
return!!(De&&d===J.element&&s.hasChildNodes()&&!Et(s.firstElementChild)&&ae(nr,s.textContent)&&ae(nr,s.innerHTML)||De&&d===J.element&&Ws(s,u)||d===J.processingInstruction||
De&&d===J.comment&&ae(qo,s.data))},Xt=function(s,u){if(s instanceof RegExp)return ae(s,u);if(s instanceof Function){for(var d=arguments.length,h=new Array(d>2?d-
2:0),T=2;T<d;T++)h[T-2]=arguments[T];return!!s(u,...h)}return!1},Zs=function(s,u,d){if(!Le[u]&&Lr(u)&&Xt(de.tagNameCheck,u))return!1;if(kn&&!Ye[u]&&!Ye[Ue(u)]){
let h=z(s),T=N(s);if(T&&h){let O=T.length;for(let v=O-1;v>=0;--v){let X=s===d?g(T[v],!0):T[v];h.insertBefore(X,A(s))}}}return He(s),!0},Cr=function(s,u,d,h){return s.
length===0?u:u===d||u===h?It(u):u},kt=function(s,u){return s===u||z(s)!==null?!1:(Tn&&Rn(s),Nr(s),!0)},Ys=function(s,u){if(Us(s),Oe(te.beforeSanitizeElements,s,
null),kt(s,u))return!0;if(Yt(s))return He(s),!0;let d=ie(K(s)),h=B(s);if(Y=Cr(te.uponSanitizeElement,Y,re,$t),Oe(te.uponSanitizeElement,s,{tagName:d,allowedTags:Y}),
kt(s,u))return!0;if(qs(s,d,h))return He(s),!0;if((Le[d]||!(k.tagCheck instanceof Function&&k.tagCheck(d))&&!Y[d])&&Zs(s,d,u))return!0;if(h===J.element&&!Ds(s)||
(d==="noscript"||d==="noembed"||d==="noframes")&&ae(Zo,s.innerHTML))return He(s),!0;if(ce&&h===J.text){let T=s.textContent,O=Zt(T);T!==O&&(Rt(t.removed,{element:s.
cloneNode()}),s.textContent=O)}return Oe(te.afterSanitizeElements,s,null),kt(s,u)},Mr=function(s,u,d){if(it[u]||Or(u,s)||fr&&(u==="id"||u==="name")&&(d in n||d in
Is))return!1;let h=I[u]||k.attributeCheck instanceof Function&&k.attributeCheck(u,s);if(P&&ae(rt,u)||w&&ae(Bt,u))return!0;if(!h)return Lr(s)&&Xt(de.tagNameCheck,
s)&&Xt(de.attributeNameCheck,u,s)||u==="is"&&de.allowCustomizedBuiltInElements&&Xt(de.tagNameCheck,d);if(Er[u])return!0;let T=Ot(d,bn,"");return ae(L,T)||(u==="\
src"||u==="xlink:href"||u==="href")&&s!=="script"&&Qn(d,"data:")===0&&br[s]||W&&!ae(ye,T)?!0:!d},Xs=G({},["annotation-xml","color-profile","font-face","font-fac\
e-format","font-face-name","font-face-src","font-face-uri","missing-glyph"]),Lr=function(s){return!Xs[Ue(s)]&&ae(bt,s)},Vs=function(s,u,d,h){if(Q&&typeof p=="ob\
ject"&&typeof p.getAttributeType=="function"&&!d)switch(p.getAttributeType(s,u)){case"TrustedHTML":return M(h);case"TrustedScriptURL":return ee(h)}return h},Qs=function(s,u,d,h){
try{return d?s.setAttributeNS(d,u,h):s.setAttribute(u,h),Yt(s)?(He(s),!1):!0}catch{return ct(u,s),!1}},Dr=function(s,u){return De&&ae(Yo,u)?!0:Ue(s)==="attribut\
ename"&&Qn(u,"href")!==-1},js=function(s,u){if(Oe(te.beforeSanitizeAttributes,s,null),kt(s,u))return;let d=Re(s);if(!d||Yt(s))return;I=Cr(te.uponSanitizeAttribute,
I,Fe,Ut);let h={attrName:"",attrValue:"",keepAttr:!0,allowedAttributes:I,forceKeepAttr:void 0},T=d.length,O=ie(K(s));for(;T--;){let v=d[T];if(!v)continue;let X=v.
name,ze=v.namespaceURI,ve=v.value,Ie=ie(X),Xe=ve,se=X==="value"?Xe:Ao(Xe),Tt=!1;if(h.attrName=Ie,h.attrValue=se,h.keepAttr=!0,h.forceKeepAttr=void 0,Oe(te.uponSanitizeAttribute,
s,h),se=h.attrValue,gr&&(Ie==="id"||Ie==="name")&&Qn(se,hr)!==0&&(ct(X,s,v),se=hr+se,Tt=!0),Dr(X,se)){ct(X,s,v);continue}if(!h.forceKeepAttr){if(!h.keepAttr){ct(
X,s,v);continue}if(!oe&&ae(Ti,se)){ct(X,s,v);continue}if(ce&&(se=Zt(se)),!Mr(O,Ie,se)){ct(X,s,v);continue}se=Vs(O,Ie,ze,se),se!==Xe&&Qs(s,X,ze,se)&&Tt&&li(t.removed)}}
Oe(te.afterSanitizeAttributes,s,null),kt(s,u)},Cn=function(s,u){Ys(s,u),js(s,u),ut(s.content)&&Mn(s.content)},Mn=function(s){let u=null,d=qt(s);for(Oe(te.beforeSanitizeShadowDOM,
s,null);u=d.nextNode();)if(Oe(te.uponSanitizeShadowNode,u,null),Cn(u,s),B(u)===J.element){let h=C(u);ut(h)&&(Ln(h),Mn(h))}ce&&In(s),Oe(te.afterSanitizeShadowDOM,
s,null)},Ln=function(s){let u=[{node:s,shadow:null}];for(;u.length>0;){let d=u.pop();if(d.shadow){Mn(d.shadow);continue}let h=d.node,T=B(h)===J.element,O=N(h);if(O)
for(let v=O.length-1;v>=0;--v)u.push({node:O[v],shadow:null});if(T){let v=F?F(h):null;if(typeof v=="string"&&ie(v)==="template"){let X=h.content;ut(X)&&u.push({
node:X,shadow:null})}}if(T){let v=C(h);ut(v)&&u.push({node:null,shadow:v},{node:v,shadow:null})}}},Js=function(s){let u=arguments.length>1&&arguments[1]!==void 0?
arguments[1]:{},d=null,h=null,T=null,O=null;if(yn=!s,yn&&(s="<!-->"),typeof s!="string"&&!Et(s)&&(s=vo(s),typeof s!="string"))throw Me("dirty is not a string, a\
borting");if(!t.isSupported)return s;zt?(Y=$t,I=Ut):Wt(u),Kt=_t,t.removed=[];let v=Tn&&typeof s!="string"&&Et(s),X=[],ze=Be,ve=Ze;if(v){Fs(s),X=Nn(s);let se=K(s);
if(typeof se=="string"){let Tt=ie(se);if(!Y[Tt]||Le[Tt])throw On(s,X),Me("root node is forbidden and cannot be sanitized in-place")}if(Yt(s))throw On(s,X),Me("r\
oot node is clobbered and cannot be sanitized in-place");Be=Yn(),Ze=So()}else if(Et(s))d=vr("<!---->"),h=d.ownerDocument.importNode(s,!0),h.nodeType===J.element&&
h.nodeName==="BODY"||h.nodeName==="HTML"?d=h:d.appendChild(h),Ln(d);else{if(!st&&!ce&&!Pe&&s.indexOf("<")===-1)return H(s);if(d=vr(s),!d)return st?null:En?q:""}
d&&_n&&He(d.firstChild);let Ie=v?s:d;try{v&&Ln(s);let se=qt(Ie);for(;T=se.nextNode();)Cn(T,Ie);v&&zs(s,X)}catch(se){throw v&&On(s,X),se}finally{Be=ze,Ze=ve}if(v){
if(wr(s,X))throw Me("a node selected for removal could not be safely returned; refusing to sanitize in place");return ce&&vn(s),s}if(st){if(ce&&vn(d),Ft)for(O=Lt.
call(d.ownerDocument);d.firstChild;)O.appendChild(d.firstChild);else O=d;return(I.shadowroot||I.shadowrootmode)&&(O=Pt.call(r,O,!0)),O}ce&&In(d);let Xe=Pe?d.outerHTML:
d.innerHTML;return Pe&&Y["!doctype"]&&d.ownerDocument&&d.ownerDocument.doctype&&d.ownerDocument.doctype.name&&ae(Go,d.ownerDocument.doctype.name)&&(Xe="<!DOCTYP\
E "+d.ownerDocument.doctype.name+`>
`+Xe),H(Xe)};return t.sanitize=function(E){let s=arguments.length>1&&arguments[1]!==void 0?arguments[1]:{},u=Kt,d=Y,h=I,T=t.removed;Kt=null;try{return Js(E,s)}finally{
Kt=u,u&&(zt||Wt(u),Y=d,I=h,t.removed=T)}},t.setConfig=function(){let E=arguments.length>0&&arguments[0]!==void 0?arguments[0]:{};Wt(E),zt=!0,$t=Y,Ut=I},t.clearConfig=
function(){_t=null,zt=!1,$t=null,Ut=null,Q=Se,q=""},t.isValidAttribute=function(E,s,u){_t||Wt({});let d=ie(E),h=ie(s);return typeof u=="string"&&(Dr(s,u)||!oe&&
ae(Ti,u))?!1:Mr(d,h,u)},t.addHook=function(E,s){typeof s=="function"&&me(te,E)&&Rt(te[E],s)},t.removeHook=function(E,s){if(me(te,E)){if(s!==void 0){let u=ko(te[E],
s);return u===-1?void 0:To(te[E],u,1)[0]}return li(te[E])}},t.removeHooks=function(E){me(te,E)&&(te[E]=[])},t.removeAllHooks=function(){te=yi()},t}var tl=Ri();var Yi=oa(Zi(),1);var ge=Yi.default;function Xi(e){let t=e.regex,n={},r={begin:/\$\{/,end:/\}/,contains:["self",{begin:/:-/,contains:[n]}]};Object.assign(n,{className:"variable",variants:[{begin:t.
concat(/\$[\w\d#@][\w\d_]*/,"(?![\\w\\d])(?![$])")},r]});let i={className:"subst",begin:/\$\(/,end:/\)/,contains:[e.BACKSLASH_ESCAPE]},l=e.inherit(e.COMMENT(),{
match:[/(^|\s)/,/#.*$/],scope:{2:"comment"}}),a={begin:/<<-?\s*(?=\w+)/,starts:{contains:[e.END_SAME_AS_BEGIN({begin:/(\w+)/,end:/(\w+)/,className:"string"})]}},
o={className:"string",begin:/"/,end:/"/,contains:[e.BACKSLASH_ESCAPE,n,i]};i.contains.push(o);let c={match:/\\"/},f={className:"string",begin:/'/,end:/'/},p={match:/\\'/},
b={begin:/\$?\(\(/,end:/\)\)/,contains:[{begin:/\d+#[0-9a-f]+/,className:"number"},e.NUMBER_MODE,n]},g=["fish","bash","zsh","sh","csh","ksh","tcsh","dash","scsh"],
_=e.SHEBANG({binary:`(${g.join("|")})`,relevance:10}),y={className:"function",begin:/\w[\w\d_]*\s*\(\s*\)\s*\{/,returnBegin:!0,contains:[e.inherit(e.TITLE_MODE,
{begin:/\w[\w\d_]*/})],relevance:0},R=["if","then","else","elif","fi","time","for","while","until","in","do","done","case","esac","coproc","function","select"],
A=["true","false"],N={match:/(\/[a-z._-]+)+/},z=["break","cd","continue","eval","exec","exit","export","getopts","hash","pwd","readonly","return","shift","test",
"times","trap","umask","unset"],C=["alias","bind","builtin","caller","command","declare","echo","enable","help","let","local","logout","mapfile","printf","read",
"readarray","source","sudo","type","typeset","ulimit","unalias"],U=["autoload","bg","bindkey","bye","cap","chdir","clone","comparguments","compcall","compctl","\
compdescribe","compfiles","compgroups","compquote","comptags","comptry","compvalues","dirs","disable","disown","echotc","echoti","emulate","fc","fg","float","fu\
nctions","getcap","getln","history","integer","jobs","kill","limit","log","noglob","popd","print","pushd","pushln","rehash","sched","setcap","setopt","stat","su\
spend","ttyctl","unfunction","unhash","unlimit","unsetopt","vared","wait","whence","where","which","zcompile","zformat","zftp","zle","zmodload","zparseopts","zp\
rof","zpty","zregexparse","zsocket","zstyle","ztcp"],$=["chcon","chgrp","chown","chmod","cp","dd","df","dir","dircolors","ln","ls","mkdir","mkfifo","mknod","mkt\
emp","mv","realpath","rm","rmdir","shred","sync","touch","truncate","vdir","b2sum","base32","base64","cat","cksum","comm","csplit","cut","expand","fmt","fold","\
head","join","md5sum","nl","numfmt","od","paste","ptx","pr","sha1sum","sha224sum","sha256sum","sha384sum","sha512sum","shuf","sort","split","sum","tac","tail","\
tr","tsort","unexpand","uniq","wc","arch","basename","chroot","date","dirname","du","echo","env","expr","factor","groups","hostid","id","link","logname","nice",
"nohup","nproc","pathchk","pinky","printenv","printf","pwd","readlink","runcon","seq","sleep","stat","stdbuf","stty","tee","test","timeout","tty","uname","unlin\
k","uptime","users","who","whoami","yes"];return{name:"Bash",aliases:["sh","zsh"],keywords:{$pattern:/\b[a-z][a-z0-9._-]+\b/,keyword:R,literal:A,built_in:[...z,
...C,"set","shopt",...U,...$]},contains:[_,e.SHEBANG(),y,b,l,a,N,o,c,f,p,n]}}function Vi(e){let t=e.regex,n=e.COMMENT("//","$",{contains:[{begin:/\\\n/}]}),r="decltype\\(auto\\)",i="[a-zA-Z_]\\w*::",a="("+r+"|"+t.optional(i)+"[a-zA-Z_]\\w\
*"+t.optional("<[^<>]+>")+")",o=t.concat(/\batomic_/,t.either("bool","char","schar","uchar","short","ushort","int","uint","long","ulong","llong","ullong","char1\
6_t","char32_t","wchar_t","int_least8_t","uint_least8_t","int_least16_t","uint_least16_t","int_least32_t","uint_least32_t","int_least64_t","uint_least64_t","int\
_fast8_t","uint_fast8_t","int_fast16_t","uint_fast16_t","int_fast32_t","uint_fast32_t","int_fast64_t","uint_fast64_t","intptr_t","uintptr_t","size_t","ptrdiff_t",
"intmax_t","uintmax_t"),/\b/),c={className:"type",variants:[{begin:"\\b[a-z\\d_]*_t\\b"},{match:o}]},p={className:"string",variants:[{begin:'(u8?|U|L)?"',end:'"',
illegal:"\\n",contains:[e.BACKSLASH_ESCAPE]},{begin:"(u8?|U|L)?'("+"\\\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4,8}|[0-7]{3}|\\S)"+"|.)",end:"'",illegal:"."},e.END_SAME_AS_BEGIN(
{begin:/(?:u8?|U|L)?R"([^()\\\s"]{0,16})\(/,end:/\)([^()\\\s"]{0,16})"/})]},b={className:"number",variants:[{match:/\b(0b[01']+)/},{match:/(-?)\b([\d']+(\.[\d']*)?|\.[\d']+)((ll|LL|l|L)(u|U)?|(u|U)(ll|LL|l|L)?|f|F|b|B)/},
{match:/(-?)\b(0[xX][a-fA-F0-9]+(?:'[a-fA-F0-9]+)*(?:\.[a-fA-F0-9]*(?:'[a-fA-F0-9]*)*)?(?:[pP][-+]?[0-9]+)?(l|L)?(u|U)?)/},{match:/(-?)\b\d+(?:'\d+)*(?:\.\d*(?:'\d*)*)?(?:[eE][-+]?\d+)?/}],
relevance:0},g={scope:"meta",begin:/#\s*include\b/,end:/$/,keywords:{keyword:"include"},contains:[{begin:/\\\n/},p,{scope:"string",begin:/<.*?>/},n,e.C_BLOCK_COMMENT_MODE]},
_={className:"meta",begin:/#\s*[a-z]+\b/,end:/$/,keywords:{keyword:"if else elif endif define undef warning error line pragma _Pragma ifdef ifndef elifdef elifn\
def include"},contains:[{begin:/\\\n/,relevance:0},e.inherit(p,{className:"string"}),n,e.C_BLOCK_COMMENT_MODE]},y=[g,_],R={className:"title",begin:t.optional(i)+
e.IDENT_RE,relevance:0},A=t.optional(i)+e.IDENT_RE+"\\s*\\(",N=12,U={keyword:["asm","auto","break","case","continue","default","do","else","enum","extern","for",
"fortran","goto","if","inline","register","restrict","return","sizeof","typeof","typeof_unqual","struct","switch","typedef","union","volatile","while","_Alignas",
"_Alignof","_Atomic","_Generic","_Noreturn","_Static_assert","_Thread_local","alignas","alignof","noreturn","static_assert","thread_local","_Pragma"],type:["flo\
at","double","signed","unsigned","int","short","long","char","void","_Bool","_BitInt","_Complex","_Imaginary","_Decimal32","_Decimal64","_Decimal96","_Decimal12\
8","_Decimal64x","_Decimal128x","_Float16","_Float32","_Float64","_Float128","_Float32x","_Float64x","_Float128x","const","static","constexpr","complex","bool",
"imaginary"],literal:"true false NULL",built_in:"std string wstring cin cout cerr clog stdin stdout stderr stringstream istringstream ostringstream auto_ptr deq\
ue list queue stack vector map set pair bitset multiset multimap unordered_set unordered_map unordered_multiset unordered_multimap priority_queue make_pair arra\
y shared_ptr abort terminate abs acos asin atan2 atan calloc ceil cosh cos exit exp fabs floor fmod fprintf fputs free frexp fscanf future isalnum isalpha iscnt\
rl isdigit isgraph islower isprint ispunct isspace isupper isxdigit tolower toupper labs ldexp log10 log malloc realloc memchr memcmp memcpy memset modf pow pri\
ntf putchar puts scanf sinh sin snprintf sprintf sqrt sscanf strcat strchr strcmp strcpy strcspn strlen strncat strncmp strncpy strpbrk strrchr strspn strstr ta\
nh tan vfprintf vprintf vsprintf endl initializer_list unique_ptr"},$=[...y,c,n,e.C_BLOCK_COMMENT_MODE,b,p],F={variants:[{begin:/=/,end:/;/},{begin:/\(/,end:/\)/},
{beginKeywords:"new throw return else",end:/;/}],keywords:U,contains:$.concat([{begin:/\(/,end:/\)/,keywords:U,contains:$.concat(["self"]),relevance:0}]),relevance:0},
Z={begin:"("+a+"[\\*&\\s]+){1,"+N+"}"+A,returnBegin:!0,end:/[{;=]/,excludeEnd:!0,keywords:U,illegal:/[^\w\s\*&:<>.]/,contains:[{begin:r,keywords:U,relevance:0},
{begin:A,returnBegin:!0,contains:[e.inherit(R,{className:"title.function"})],relevance:0},{relevance:0,match:/,/},{className:"params",begin:/\(/,end:/\)/,keywords:U,
relevance:0,contains:[n,e.C_BLOCK_COMMENT_MODE,p,b,c,{begin:/\(/,end:/\)/,keywords:U,relevance:0,contains:["self",n,e.C_BLOCK_COMMENT_MODE,p,b,c]}]},c,n,e.C_BLOCK_COMMENT_MODE,
...y]};return{name:"C",aliases:["h"],keywords:U,disableAutodetect:!0,illegal:"</",contains:[].concat(F,Z,$,[...y,{begin:e.IDENT_RE+"::",keywords:U},{className:"\
class",beginKeywords:"enum class struct union",end:/[{;:<>=]/,contains:[{beginKeywords:"final class struct"},e.TITLE_MODE]}]),exports:{preprocessor:_,strings:p,
keywords:U}}}function Qi(e){let t=e.regex,n=e.COMMENT("//","$",{contains:[{begin:/\\\n/}]}),r="decltype\\(auto\\)",i="[a-zA-Z_]\\w*::",a="(?!struct)("+r+"|"+t.optional(i)+"[\
a-zA-Z_]\\w*"+t.optional("<[^<>]+>")+")",o={className:"type",begin:"\\b[a-z\\d_]*_t\\b"},f={className:"string",variants:[{begin:'(u8?|U|L)?"',end:'"',illegal:"\\\
n",contains:[e.BACKSLASH_ESCAPE]},{begin:"(u8?|U|L)?'("+"\\\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4,8}|[0-7]{3}|\\S)"+"|.)",end:"'",illegal:"."},e.END_SAME_AS_BEGIN({begin:/(?:u8?|U|L)?R"([^()\\\s"]{0,16})\(/,
end:/\)([^()\\\s"]{0,16})"/})]},p={className:"number",variants:[{begin:"[+-]?(?:(?:\\b[0-9](?:'?[0-9])*\\.(?:[0-9](?:'?[0-9])*)?|\\.[0-9](?:'?[0-9])*)(?:[Ee][+-]?[\
0-9](?:'?[0-9])*)?|\\b[0-9](?:'?[0-9])*[Ee][+-]?[0-9](?:'?[0-9])*|\\b0[Xx](?:[0-9A-Fa-f](?:'?[0-9A-Fa-f])*(?:\\.(?:[0-9A-Fa-f](?:'?[0-9A-Fa-f])*)?)?|\\.[0-9A-Fa-f](\
?:'?[0-9A-Fa-f])*)[Pp][+-]?[0-9](?:'?[0-9])*)(?:[Ff](?:16|32|64|128)?|(BF|bf)16|[Ll]|)"},{begin:"[+-]?\\b(?:0[Bb][01](?:'?[01])*|0[Xx][0-9A-Fa-f](?:'?[0-9A-Fa-f]\
)*|0(?:'?[0-7])*|[1-9](?:'?[0-9])*)(?:[Uu](?:LL?|ll?)|[Uu][Zz]?|(?:LL?|ll?)[Uu]?|[Zz][Uu]|)"}],relevance:0},b={scope:"meta",begin:/#\s*include\b/,end:/$/,keywords:{
keyword:"include"},contains:[{begin:/\\\n/},f,{scope:"string",begin:/<.*?>/},n,e.C_BLOCK_COMMENT_MODE]},g={className:"meta",begin:/#\s*[a-z]+\b/,end:/$/,keywords:{
keyword:"if else elif endif define undef warning error line pragma _Pragma ifdef ifndef include"},contains:[{begin:/\\\n/,relevance:0},e.inherit(f,{className:"s\
tring"}),n,e.C_BLOCK_COMMENT_MODE]},_=[b,g],y={className:"title",begin:t.optional(i)+e.IDENT_RE,relevance:0},R=t.optional(i)+e.IDENT_RE+"\\s*\\(",A=12,N=["align\
as","alignof","and","and_eq","asm","atomic_cancel","atomic_commit","atomic_noexcept","auto","bitand","bitor","break","case","catch","class","co_await","co_retur\
n","co_yield","compl","concept","const_cast|10","consteval","constexpr","constinit","continue","decltype","default","delete","do","dynamic_cast|10","else","enum",
"explicit","export","extern","false","final","for","friend","goto","if","import","inline","module","mutable","namespace","new","noexcept","not","not_eq","nullpt\
r","operator","or","or_eq","override","private","protected","public","reflexpr","register","reinterpret_cast|10","requires","return","sizeof","static_assert","s\
tatic_cast|10","struct","switch","synchronized","template","this","thread_local","throw","transaction_safe","transaction_safe_dynamic","true","try","typedef","t\
ypeid","typename","union","using","virtual","volatile","while","xor","xor_eq"],z=["bool","char","char16_t","char32_t","char8_t","double","float","int","long","s\
hort","void","wchar_t","unsigned","signed","const","static"],C=["any","auto_ptr","barrier","binary_semaphore","bitset","complex","condition_variable","condition\
_variable_any","counting_semaphore","deque","false_type","flat_map","flat_set","future","imaginary","initializer_list","istringstream","jthread","latch","lock_g\
uard","multimap","multiset","mutex","optional","ostringstream","packaged_task","pair","promise","priority_queue","queue","recursive_mutex","recursive_timed_mute\
x","scoped_lock","set","shared_future","shared_lock","shared_mutex","shared_timed_mutex","shared_ptr","stack","string_view","stringstream","timed_mutex","thread",
"true_type","tuple","unique_lock","unique_ptr","unordered_map","unordered_multimap","unordered_multiset","unordered_set","variant","vector","weak_ptr","wstring",
"wstring_view"],U=["abort","abs","acos","apply","as_const","asin","atan","atan2","calloc","ceil","cerr","cin","clog","cos","cosh","cout","declval","endl","excha\
nge","exit","exp","fabs","floor","fmod","forward","fprintf","fputs","free","frexp","fscanf","future","invoke","isalnum","isalpha","iscntrl","isdigit","isgraph",
"islower","isprint","ispunct","isspace","isupper","isxdigit","labs","launder","ldexp","log","log10","make_pair","make_shared","make_shared_for_overwrite","make_\
tuple","make_unique","malloc","memchr","memcmp","memcpy","memset","modf","move","pow","printf","putchar","puts","realloc","scanf","sin","sinh","snprintf","sprin\
tf","sqrt","sscanf","std","stderr","stdin","stdout","strcat","strchr","strcmp","strcpy","strcspn","strlen","strncat","strncmp","strncpy","strpbrk","strrchr","st\
rspn","strstr","swap","tan","tanh","terminate","to_underlying","tolower","toupper","vfprintf","visit","vprintf","vsprintf"],Z={type:z,keyword:N,literal:["NULL",
"false","nullopt","nullptr","true"],built_in:["_Pragma"],_type_hints:C},B={className:"function.dispatch",relevance:0,keywords:{_hint:U},begin:t.concat(/\b/,`(?!${N.
join("|")})`,e.IDENT_RE,t.lookahead(/(<[^<>]+>|)\s*\(/))},K=[B,..._,o,n,e.C_BLOCK_COMMENT_MODE,p,f],he={variants:[{begin:/=/,end:/;/},{begin:/\(/,end:/\)/},{beginKeywords:"\
new throw return else",end:/;/}],keywords:Z,contains:K.concat([{begin:/\(/,end:/\)/,keywords:Z,contains:K.concat(["self"]),relevance:0}]),relevance:0},be={className:"\
function",begin:"("+a+"[\\*&\\s]+){1,"+A+"}"+R,returnBegin:!0,end:/[{;=]/,excludeEnd:!0,keywords:Z,illegal:/[^\w\s\*&:<>.]/,contains:[{begin:r,keywords:Z,relevance:0},
{begin:R,returnBegin:!0,contains:[y],relevance:0},{begin:/::/,relevance:0},{begin:/:/,endsWithParent:!0,contains:[f,p]},{relevance:0,match:/,/},{className:"para\
ms",begin:/\(/,end:/\)/,keywords:Z,relevance:0,contains:[n,e.C_BLOCK_COMMENT_MODE,f,p,o,{begin:/\(/,end:/\)/,keywords:Z,relevance:0,contains:["self",n,e.C_BLOCK_COMMENT_MODE,
f,p,o]}]},o,n,e.C_BLOCK_COMMENT_MODE,..._]};return{name:"C++",aliases:["cc","c++","h++","hpp","hh","hxx","cxx"],keywords:Z,illegal:"</",classNameAliases:{"funct\
ion.dispatch":"built_in"},contains:[].concat(he,be,B,K,[..._,{begin:"\\b(deque|list|queue|priority_queue|pair|stack|vector|map|set|bitset|multiset|multimap|unord\
ered_map|unordered_set|unordered_multiset|unordered_multimap|array|tuple|optional|variant|function|flat_map|flat_set)\\s*<(?!<)",end:">",keywords:Z,contains:["s\
elf",o]},{begin:e.IDENT_RE+"::",keywords:Z},{match:[/\b(?:enum(?:\s+(?:class|struct))?|class|struct|union)/,/\s+/,/\w+/],className:{1:"keyword",3:"title.class"}}])}}var Wl=e=>({IMPORTANT:{scope:"meta",begin:"!important"},BLOCK_COMMENT:e.C_BLOCK_COMMENT_MODE,HEXCOLOR:{scope:"number",begin:/#(([0-9a-fA-F]{3,4})|(([0-9a-fA-F]{2}){3,4}))\b/},
UNICODE_RANGE:{scope:"number",begin:/\b[Uu]\+[0-9A-Fa-f][0-9A-Fa-f?]{0,5}(-[0-9A-Fa-f][0-9A-Fa-f]{0,5})?/},FUNCTION_DISPATCH:{className:"built_in",begin:/[\w-]+(?=\()/},
ATTRIBUTE_SELECTOR_MODE:{scope:"selector-attr",begin:/\[/,end:/\]/,illegal:"$",contains:[e.APOS_STRING_MODE,e.QUOTE_STRING_MODE]},CSS_NUMBER_MODE:{scope:"number",
begin:e.NUMBER_RE+"(%|em|ex|ch|rem|vw|vh|vmin|vmax|cm|mm|in|pt|pc|px|deg|grad|rad|turn|s|ms|Hz|kHz|dpi|dpcm|dppx)?",relevance:0},CSS_VARIABLE:{className:"attr",
begin:/--[A-Za-z_][A-Za-z0-9_-]*/}}),ql=["a","abbr","address","article","aside","audio","b","blockquote","body","button","canvas","caption","cite","code","dd","\
del","details","dfn","div","dl","dt","em","fieldset","figcaption","figure","footer","form","h1","h2","h3","h4","h5","h6","header","hgroup","html","i","iframe","\
img","input","ins","kbd","label","legend","li","main","mark","menu","nav","object","ol","optgroup","option","p","picture","q","quote","samp","section","select",
"source","span","strong","summary","sup","table","tbody","td","textarea","tfoot","th","thead","time","tr","ul","var","video"],Zl=["defs","g","marker","mask","pa\
ttern","svg","switch","symbol","feBlend","feColorMatrix","feComponentTransfer","feComposite","feConvolveMatrix","feDiffuseLighting","feDisplacementMap","feFlood",
"feGaussianBlur","feImage","feMerge","feMorphology","feOffset","feSpecularLighting","feTile","feTurbulence","linearGradient","radialGradient","stop","circle","e\
llipse","image","line","path","polygon","polyline","rect","text","use","textPath","tspan","foreignObject","clipPath"],Yl=[...ql,...Zl],Xl=["any-hover","any-poin\
ter","aspect-ratio","color","color-gamut","color-index","device-aspect-ratio","device-height","device-width","display-mode","forced-colors","grid","height","hov\
er","inverted-colors","monochrome","orientation","overflow-block","overflow-inline","pointer","prefers-color-scheme","prefers-contrast","prefers-reduced-motion",
"prefers-reduced-transparency","resolution","scan","scripting","update","width","min-width","max-width","min-height","max-height"].sort().reverse(),Vl=["active",
"any-link","blank","checked","current","default","defined","dir","disabled","drop","empty","enabled","first","first-child","first-of-type","fullscreen","future",
"focus","focus-visible","focus-within","has","host","host-context","hover","indeterminate","in-range","invalid","is","lang","last-child","last-of-type","left","\
link","local-link","not","nth-child","nth-col","nth-last-child","nth-last-col","nth-last-of-type","nth-of-type","only-child","only-of-type","optional","out-of-r\
ange","past","placeholder-shown","read-only","read-write","required","right","root","scope","target","target-within","user-invalid","valid","visited","where"].sort().
reverse(),Ql=["after","backdrop","before","cue","cue-region","first-letter","first-line","grammar-error","marker","part","placeholder","selection","slotted","sp\
elling-error"].sort().reverse(),jl=["accent-color","align-content","align-items","align-self","alignment-baseline","all","anchor-name","animation","animation-co\
mposition","animation-delay","animation-direction","animation-duration","animation-fill-mode","animation-iteration-count","animation-name","animation-play-state",
"animation-range","animation-range-end","animation-range-start","animation-timeline","animation-timing-function","appearance","aspect-ratio","backdrop-filter","\
backface-visibility","background","background-attachment","background-blend-mode","background-clip","background-color","background-image","background-origin","b\
ackground-position","background-position-x","background-position-y","background-repeat","background-size","baseline-shift","block-size","border","border-block",
"border-block-color","border-block-end","border-block-end-color","border-block-end-style","border-block-end-width","border-block-start","border-block-start-colo\
r","border-block-start-style","border-block-start-width","border-block-style","border-block-width","border-bottom","border-bottom-color","border-bottom-left-rad\
ius","border-bottom-right-radius","border-bottom-style","border-bottom-width","border-collapse","border-color","border-end-end-radius","border-end-start-radius",
"border-image","border-image-outset","border-image-repeat","border-image-slice","border-image-source","border-image-width","border-inline","border-inline-color",
"border-inline-end","border-inline-end-color","border-inline-end-style","border-inline-end-width","border-inline-start","border-inline-start-color","border-inli\
ne-start-style","border-inline-start-width","border-inline-style","border-inline-width","border-left","border-left-color","border-left-style","border-left-width",
"border-radius","border-right","border-right-color","border-right-style","border-right-width","border-spacing","border-start-end-radius","border-start-start-rad\
ius","border-style","border-top","border-top-color","border-top-left-radius","border-top-right-radius","border-top-style","border-top-width","border-width","bot\
tom","box-align","box-decoration-break","box-direction","box-flex","box-flex-group","box-lines","box-ordinal-group","box-orient","box-pack","box-shadow","box-si\
zing","break-after","break-before","break-inside","caption-side","caret-color","clear","clip","clip-path","clip-rule","color","color-interpolation","color-inter\
polation-filters","color-profile","color-rendering","color-scheme","column-count","column-fill","column-gap","column-rule","column-rule-color","column-rule-styl\
e","column-rule-width","column-span","column-width","columns","contain","contain-intrinsic-block-size","contain-intrinsic-height","contain-intrinsic-inline-size",
"contain-intrinsic-size","contain-intrinsic-width","container","container-name","container-type","content","content-visibility","corner-bottom-left-shape","corn\
er-bottom-right-shape","corner-shape","corner-top-left-shape","corner-top-right-shape","counter-increment","counter-reset","counter-set","cue","cue-after","cue-\
before","cursor","cx","cy","direction","display","dominant-baseline","empty-cells","enable-background","field-sizing","fill","fill-opacity","fill-rule","filter",
"flex","flex-basis","flex-direction","flex-flow","flex-grow","flex-shrink","flex-wrap","float","flood-color","flood-opacity","flow","font","font-display","font-\
family","font-feature-settings","font-kerning","font-language-override","font-optical-sizing","font-palette","font-size","font-size-adjust","font-smooth","font-\
smoothing","font-stretch","font-style","font-synthesis","font-synthesis-position","font-synthesis-small-caps","font-synthesis-style","font-synthesis-weight","fo\
nt-variant","font-variant-alternates","font-variant-caps","font-variant-east-asian","font-variant-emoji","font-variant-ligatures","font-variant-numeric","font-v\
ariant-position","font-variation-settings","font-weight","forced-color-adjust","gap","glyph-orientation-horizontal","glyph-orientation-vertical","grid","grid-ar\
ea","grid-auto-columns","grid-auto-flow","grid-auto-rows","grid-column","grid-column-end","grid-column-start","grid-gap","grid-row","grid-row-end","grid-row-sta\
rt","grid-template","grid-template-areas","grid-template-columns","grid-template-rows","hanging-punctuation","height","hyphenate-character","hyphenate-limit-cha\
rs","hyphens","icon","image-orientation","image-rendering","image-resolution","ime-mode","initial-letter","initial-letter-align","inline-size","inset","inset-ar\
ea","inset-block","inset-block-end","inset-block-start","inset-inline","inset-inline-end","inset-inline-start","isolation","justify-content","justify-items","ju\
stify-self","kerning","left","letter-spacing","lighting-color","line-break","line-height","line-height-step","list-style","list-style-image","list-style-positio\
n","list-style-type","margin","margin-block","margin-block-end","margin-block-start","margin-bottom","margin-inline","margin-inline-end","margin-inline-start","\
margin-left","margin-right","margin-top","margin-trim","marker","marker-end","marker-mid","marker-start","marks","mask","mask-border","mask-border-mode","mask-b\
order-outset","mask-border-repeat","mask-border-slice","mask-border-source","mask-border-width","mask-clip","mask-composite","mask-image","mask-mode","mask-orig\
in","mask-position","mask-repeat","mask-size","mask-type","masonry-auto-flow","math-depth","math-shift","math-style","max-block-size","max-height","max-inline-s\
ize","max-width","min-block-size","min-height","min-inline-size","min-width","mix-blend-mode","nav-down","nav-index","nav-left","nav-right","nav-up","none","nor\
mal","object-fit","object-position","offset","offset-anchor","offset-distance","offset-path","offset-position","offset-rotate","opacity","order","orphans","outl\
ine","outline-color","outline-offset","outline-style","outline-width","overflow","overflow-anchor","overflow-block","overflow-clip-margin","overflow-inline","ov\
erflow-wrap","overflow-x","overflow-y","overlay","overscroll-behavior","overscroll-behavior-block","overscroll-behavior-inline","overscroll-behavior-x","overscr\
oll-behavior-y","padding","padding-block","padding-block-end","padding-block-start","padding-bottom","padding-inline","padding-inline-end","padding-inline-start",
"padding-left","padding-right","padding-top","page","page-break-after","page-break-before","page-break-inside","paint-order","pause","pause-after","pause-before",
"perspective","perspective-origin","place-content","place-items","place-self","pointer-events","position","position-anchor","position-visibility","print-color-a\
djust","quotes","r","resize","rest","rest-after","rest-before","right","rotate","row-gap","ruby-align","ruby-position","scale","scroll-behavior","scroll-margin",
"scroll-margin-block","scroll-margin-block-end","scroll-margin-block-start","scroll-margin-bottom","scroll-margin-inline","scroll-margin-inline-end","scroll-mar\
gin-inline-start","scroll-margin-left","scroll-margin-right","scroll-margin-top","scroll-padding","scroll-padding-block","scroll-padding-block-end","scroll-padd\
ing-block-start","scroll-padding-bottom","scroll-padding-inline","scroll-padding-inline-end","scroll-padding-inline-start","scroll-padding-left","scroll-padding\
-right","scroll-padding-top","scroll-snap-align","scroll-snap-stop","scroll-snap-type","scroll-timeline","scroll-timeline-axis","scroll-timeline-name","scrollba\
r-color","scrollbar-gutter","scrollbar-width","shape-image-threshold","shape-margin","shape-outside","shape-rendering","speak","speak-as","src","stop-color","st\
op-opacity","stroke","stroke-dasharray","stroke-dashoffset","stroke-linecap","stroke-linejoin","stroke-miterlimit","stroke-opacity","stroke-width","tab-size","t\
able-layout","text-align","text-align-all","text-align-last","text-anchor","text-combine-upright","text-decoration","text-decoration-color","text-decoration-lin\
e","text-decoration-skip","text-decoration-skip-ink","text-decoration-style","text-decoration-thickness","text-emphasis","text-emphasis-color","text-emphasis-po\
sition","text-emphasis-style","text-indent","text-justify","text-orientation","text-overflow","text-rendering","text-shadow","text-size-adjust","text-transform",
"text-underline-offset","text-underline-position","text-wrap","text-wrap-mode","text-wrap-style","timeline-scope","top","touch-action","transform","transform-bo\
x","transform-origin","transform-style","transition","transition-behavior","transition-delay","transition-duration","transition-property","transition-timing-fun\
ction","translate","unicode-bidi","unicode-range","user-modify","user-select","vector-effect","vertical-align","view-timeline","view-timeline-axis","view-timeli\
ne-inset","view-timeline-name","view-transition-name","visibility","voice-balance","voice-duration","voice-family","voice-pitch","voice-range","voice-rate","voi\
ce-stress","voice-volume","white-space","white-space-collapse","widows","width","will-change","word-break","word-spacing","word-wrap","writing-mode","x","y","z-\
index","zoom"].sort().reverse();function ji(e){let t=e.regex,n=Wl(e),r={begin:/-(webkit|moz|ms|o)-(?=[a-z])/},i="and or not only",l=/@-?\w[\w]*(-\w+)*/,a="[a-zA\
-Z-][a-zA-Z0-9_-]*",o=[e.APOS_STRING_MODE,e.QUOTE_STRING_MODE];return{name:"CSS",case_insensitive:!0,illegal:/[=|'\$]/,keywords:{keyframePosition:"from to"},classNameAliases:{
keyframePosition:"selector-tag"},contains:[n.BLOCK_COMMENT,r,n.CSS_NUMBER_MODE,{className:"selector-id",begin:/#[A-Za-z0-9_-]+/,relevance:0},{className:"selecto\
r-class",begin:"\\."+a,relevance:0},n.ATTRIBUTE_SELECTOR_MODE,{className:"selector-pseudo",variants:[{begin:":("+Vl.join("|")+")"},{begin:":(:)?("+Ql.join("|")+
")"}]},n.CSS_VARIABLE,{className:"attribute",begin:"\\b("+jl.join("|")+")\\b"},{begin:/:/,end:/[;}{]/,contains:[n.BLOCK_COMMENT,n.HEXCOLOR,n.IMPORTANT,n.CSS_NUMBER_MODE,
n.UNICODE_RANGE,...o,{begin:/(url|data-uri)\(/,end:/\)/,relevance:0,keywords:{built_in:"url data-uri"},contains:[...o,{className:"string",begin:/[^)]/,endsWithParent:!0,
excludeEnd:!0}]},n.FUNCTION_DISPATCH]},{begin:t.lookahead(/@/),end:"[{;]",relevance:0,illegal:/:/,contains:[{className:"keyword",begin:l},{begin:/\s/,endsWithParent:!0,
excludeEnd:!0,relevance:0,keywords:{$pattern:/[a-z-]+/,keyword:i,attribute:Xl.join(" ")},contains:[{begin:/[a-z-]+(?=:)/,className:"attribute"},...o,n.CSS_NUMBER_MODE]}]},
{className:"selector-tag",begin:"\\b("+Yl.join("|")+")\\b"}]}}function Ji(e){let t=e.regex;return{name:"Diff",aliases:["patch"],contains:[{className:"meta",relevance:10,match:t.either(/^@@ +-\d+,\d+ +\+\d+,\d+ +@@/,/^@@ +-\d+ +\+\d+,\d+ +@@/,
/^@@ +-\d+,\d+ +\+\d+ +@@/,/^@@ +-\d+ +\+\d+ +@@/,/^\*\*\* +\d+,\d+ +\*\*\*\*$/,/^--- +\d+,\d+ +----$/)},{className:"comment",variants:[{begin:t.either(/Index: /,
/^index/,/={3,}/,/^-{3}/,/^\*{3} /,/^\+{3}/,/^diff --git/),end:/$/},{match:/^\*{15}$/}]},{className:"addition",begin:/^\+/,end:/$/},{className:"deletion",begin:/^-/,
end:/$/},{className:"addition",begin:/^!/,end:/$/}]}}function es(e){let l={keyword:["break","case","chan","const","continue","default","defer","else","fallthrough","for","func","go","goto","if","import","interface",
"map","package","range","return","select","struct","switch","type","var"],type:["bool","byte","complex64","complex128","error","float32","float64","int8","int16",
"int32","int64","string","uint8","uint16","uint32","uint64","int","uint","uintptr","rune"],literal:["true","false","iota","nil"],built_in:["append","cap","close",
"complex","copy","imag","len","make","new","panic","print","println","real","recover","delete"]};return{name:"Go",aliases:["golang"],keywords:l,illegal:"</",contains:[
e.C_LINE_COMMENT_MODE,e.C_BLOCK_COMMENT_MODE,{className:"string",variants:[e.QUOTE_STRING_MODE,e.APOS_STRING_MODE,{begin:"`",end:"`"}]},{className:"number",variants:[
{match:/-?\b0[xX]\.[a-fA-F0-9](_?[a-fA-F0-9])*[pP][+-]?\d(_?\d)*i?/,relevance:0},{match:/-?\b0[xX](_?[a-fA-F0-9])+((\.([a-fA-F0-9](_?[a-fA-F0-9])*)?)?[pP][+-]?\d(_?\d)*)?i?/,
relevance:0},{match:/-?\b0[oO](_?[0-7])*i?/,relevance:0},{match:/-?\b0[bB](_?[01])*i?/,relevance:0},{match:/-?\.\d(_?\d)*([eE][+-]?\d(_?\d)*)?i?/,relevance:0},{
match:/-?\b\d(_?\d)*(\.(\d(_?\d)*)?)?([eE][+-]?\d(_?\d)*)?i?/,relevance:0}]},{begin:/:=/},{className:"function",beginKeywords:"func",end:"\\s*(\\{|$)",excludeEnd:!0,
contains:[e.TITLE_MODE,{className:"params",begin:/\(/,end:/\)/,endsParent:!0,keywords:l,illegal:/["']/}]}]}}var mt="[0-9](_*[0-9])*",pn=`\\.(${mt})`,dn="[0-9a-fA-F](_*[0-9a-fA-F])*",ts={className:"number",variants:[{begin:`(\\b(${mt})((${pn})|\\.)?|(${pn}))[eE][+-]?(${mt}\
)[fFdD]?\\b`},{begin:`\\b(${mt})((${pn})[fFdD]?\\b|\\.([fFdD]\\b)?)`},{begin:`(${pn})[fFdD]?\\b`},{begin:`\\b(${mt})[fFdD]\\b`},{begin:`\\b0[xX]((${dn})\\.?|(${dn}\
)?\\.(${dn}))[pP][+-]?(${mt})[fFdD]?\\b`},{begin:"\\b(0|[1-9](_*[0-9])*)[lL]?\\b"},{begin:`\\b0[xX](${dn})[lL]?\\b`},{begin:"\\b0(_*[0-7])*[lL]?\\b"},{begin:"\\b\
0[bB][01](_*[01])*[lL]?\\b"}],relevance:0};function ns(e,t,n){return n===-1?"":e.replace(t,r=>ns(e,t,n-1))}function rs(e){let t=e.regex,n="[\xC0-\u02B8a-zA-Z_$][\xC0-\u02B8a-zA\
-Z_$0-9]*",r="(?:(?:\\s*\\[\\s*])+)?",i=n+"<@@@>"+r,a="(?:"+("\\?(?:\\s+(?:extends|super)\\s+"+i+")?")+"|"+i+")",o=ns("(?:\\s*<\\s*"+a+"(?:\\s*,\\s*"+a+")*\\s*>)\
?",/<@@@>/g,2),g={keyword:["synchronized","abstract","private","var","static","if","const ","for","while","strictfp","finally","protected","import","native","fi\
nal","void","enum","else","break","transient","catch","instanceof","volatile","case","assert","package","default","public","try","switch","continue","throws","p\
rotected","public","private","module","requires","exports","do","sealed","yield","permits","goto","when"],literal:["false","true","null"],type:["char","boolean",
"long","float","int","byte","short","double"],built_in:["super","this"]},_={className:"meta",begin:"@"+n,contains:[{begin:/\(/,end:/\)/,contains:["self"]}]},y={
className:"params",begin:/\(/,end:/\)/,keywords:g,relevance:0,contains:[e.C_BLOCK_COMMENT_MODE],endsParent:!0};return{name:"Java",aliases:["jsp"],keywords:g,illegal:/<\/|#/,
contains:[e.COMMENT("/\\*\\*","\\*/",{relevance:0,contains:[{begin:/\w+@/,relevance:0},{className:"doctag",begin:"@[A-Za-z]+"}]}),{begin:/import java\.[a-z]+\./,
keywords:"import",relevance:2},e.C_LINE_COMMENT_MODE,e.C_BLOCK_COMMENT_MODE,{begin:/"""/,end:/"""/,className:"string",contains:[e.BACKSLASH_ESCAPE]},e.APOS_STRING_MODE,
e.QUOTE_STRING_MODE,{match:[/\b(?:class|interface|enum|extends|implements|new)/,/\s+/,n],className:{1:"keyword",3:"title.class"}},{match:/non-sealed/,scope:"key\
word"},{beginKeywords:"new throw return else yield assert",relevance:0},{begin:[n,t.concat(o,r,/\s+/),n,r,/\s*/,/=(?!=)/],className:{1:"type",3:"variable",6:"op\
erator"}},{begin:[/record/,/\s+/,n],className:{1:"keyword",3:"title.class"},contains:[y,e.C_LINE_COMMENT_MODE,e.C_BLOCK_COMMENT_MODE]},{begin:[n,t.concat(o,r,/\s+/),
n,/\s*(?=\()/],className:{1:"type",3:"title.function"},keywords:g,contains:[{className:"params",begin:/\(/,end:/\)/,keywords:g,relevance:0,contains:[_,e.APOS_STRING_MODE,
e.QUOTE_STRING_MODE,ts,e.C_BLOCK_COMMENT_MODE]},e.C_LINE_COMMENT_MODE,e.C_BLOCK_COMMENT_MODE]},ts,_]}}var is="[A-Za-z$_][0-9A-Za-z$_]*",Jl=["as","in","of","if","for","while","finally","var","new","function","do","return","void","else","break","catch","instanceof",
"with","throw","case","default","try","switch","continue","typeof","delete","let","yield","const","class","debugger","async","await","static","import","from","e\
xport","extends","using"],ec=["true","false","null","undefined","NaN","Infinity"],ss=["Object","Function","Boolean","Symbol","Math","Date","Number","BigInt","St\
ring","RegExp","Array","Float32Array","Float64Array","Int8Array","Uint8Array","Uint8ClampedArray","Int16Array","Int32Array","Uint16Array","Uint32Array","BigInt6\
4Array","BigUint64Array","Set","Map","WeakSet","WeakMap","ArrayBuffer","SharedArrayBuffer","Atomics","DataView","JSON","Promise","Generator","GeneratorFunction",
"AsyncFunction","Reflect","Proxy","Intl","WebAssembly"],as=["Error","EvalError","InternalError","RangeError","ReferenceError","SyntaxError","TypeError","URIErro\
r"],os=["setInterval","setTimeout","clearInterval","clearTimeout","require","exports","eval","isFinite","isNaN","parseFloat","parseInt","decodeURI","decodeURICo\
mponent","encodeURI","encodeURIComponent","escape","unescape"],tc=["arguments","this","super","console","window","document","localStorage","sessionStorage","mod\
ule","self","global"],nc=[].concat(os,ss,as);function ls(e){let t=e.regex,n=(x,{after:M})=>{let H="</"+x[0].slice(1);return x.input.indexOf(H,M)!==-1},r=is,i={begin:"\
<>",end:"</>"},l=/<[A-Za-z0-9\\._:-]+\s*\/>/,a={begin:/<[A-Za-z0-9\\._:-]+/,end:/\/[A-Za-z0-9\\._:-]+>|\/>/,isTrulyOpeningTag:(x,M)=>{let H=x[0].length+x.index,
ee=x.input[H];if(ee==="<"||ee===","){M.ignoreMatch();return}ee===">"&&(n(x,{after:H})||M.ignoreMatch());let pe,_e=x.input.substring(H);if(pe=_e.match(/^\s*=/)){
M.ignoreMatch();return}if((pe=_e.match(/^\s+extends\s+/))&&pe.index===0){M.ignoreMatch();return}}},o={$pattern:is,keyword:Jl,literal:ec,built_in:nc,"variable.la\
nguage":tc},c="[0-9](_?[0-9])*",f=`\\.(${c})`,p="0|[1-9](_?[0-9])*|0[0-7]*[89][0-9]*",b={className:"number",variants:[{begin:`(\\b(${p})((${f})|\\.)?|(${f}))[eE\
][+-]?(${c})\\b`},{begin:`\\b(${p})\\b((${f})\\b|\\.)?|(${f})\\b`},{begin:"\\b(0|[1-9](_?[0-9])*)n\\b"},{begin:"\\b0[xX][0-9a-fA-F](_?[0-9a-fA-F])*n?\\b"},{begin:"\
\\b0[bB][0-1](_?[0-1])*n?\\b"},{begin:"\\b0[oO][0-7](_?[0-7])*n?\\b"},{begin:"\\b0[0-7]+n?\\b"}],relevance:0},g={className:"subst",begin:"\\$\\{",end:"\\}",keywords:o,
contains:[]},_={begin:".?html`",end:"",starts:{end:"`",returnEnd:!1,contains:[e.BACKSLASH_ESCAPE,g],subLanguage:"xml"}},y={begin:".?css`",end:"",starts:{end:"`",
returnEnd:!1,contains:[e.BACKSLASH_ESCAPE,g],subLanguage:"css"}},R={begin:".?gql`",end:"",starts:{end:"`",returnEnd:!1,contains:[e.BACKSLASH_ESCAPE,g],subLanguage:"\
graphql"}},A={className:"string",begin:"`",end:"`",contains:[e.BACKSLASH_ESCAPE,g]},z={className:"comment",variants:[e.COMMENT(/\/\*\*(?!\/)/,"\\*/",{relevance:0,
contains:[{begin:"(?=@[A-Za-z]+)",relevance:0,contains:[{className:"doctag",begin:"@[A-Za-z]+"},{className:"type",begin:"\\{",end:"\\}",excludeEnd:!0,excludeBegin:!0,
relevance:0},{className:"variable",begin:r+"(?=\\s*(-)|$)",endsParent:!0,relevance:0},{begin:/(?=[^\n])\s/,relevance:0}]}]}),e.C_BLOCK_COMMENT_MODE,e.C_LINE_COMMENT_MODE]},
C=[e.APOS_STRING_MODE,e.QUOTE_STRING_MODE,_,y,R,A,{match:/\$\d+/},b];g.contains=C.concat({begin:/\{/,end:/\}/,keywords:o,contains:["self"].concat(C)});let U=[].
concat(z,g.contains),$=U.concat([{begin:/(\s*)\(/,end:/\)/,keywords:o,contains:["self"].concat(U)}]),F={className:"params",begin:/(\s*)\(/,end:/\)/,excludeBegin:!0,
excludeEnd:!0,keywords:o,contains:$},Z={variants:[{match:[/class/,/\s+/,r,/\s+/,/extends/,/\s+/,t.concat(r,"(",t.concat(/\./,r),")*")],scope:{1:"keyword",3:"tit\
le.class",5:"keyword",7:"title.class.inherited"}},{match:[/class/,/\s+/,r],scope:{1:"keyword",3:"title.class"}}]},B={relevance:0,match:t.either(/\bJSON/,/\b[A-Z][a-z]+([A-Z][a-z]*|\d)*/,
/\b[A-Z]{2,}([A-Z][a-z]+|\d)+([A-Z][a-z]*)*/,/\b[A-Z]{2,}[a-z]+([A-Z][a-z]+|\d)*([A-Z][a-z]*)*/),className:"title.class",keywords:{_:[...ss,...as]}},K={label:"u\
se_strict",className:"meta",relevance:10,begin:/^\s*['"]use (strict|asm)['"]/},he={variants:[{match:[/function/,/\s+/,r,/(?=\s*\()/]},{match:[/function/,/\s*(?=\()/]}],
className:{1:"keyword",3:"title.function"},label:"func.def",contains:[F],illegal:/%/},be={relevance:0,match:/\b[A-Z][A-Z_0-9]+\b/,className:"variable.constant"};
function Re(x){return t.concat("(?!",x.join("|"),")")}let Q={match:t.concat(/\b/,Re([...os,"super","import","await"].map(x=>`${x}\\s*\\(`)),r,t.lookahead(/\s*\(/)),
className:"title.function",relevance:0},q={begin:t.concat(/\./,t.lookahead(t.concat(r,/(?![0-9A-Za-z$_(])/))),end:r,excludeBegin:!0,keywords:"prototype",className:"\
property",relevance:0},Se={match:[/get|set/,/\s+/,r,/(?=\()/],className:{1:"keyword",3:"title.function"},contains:[{begin:/\(\)/},F]},m="(\\([^()]*(\\([^()]*(\\([^\
()]*\\)[^()]*)*\\)[^()]*)*\\)|"+e.UNDERSCORE_IDENT_RE+")\\s*=>",S={match:[/const|var|let/,/\s+/,r,/\s*/,/=\s*/,/(async\s*)?/,t.lookahead(m)],keywords:"async",className:{
1:"keyword",3:"title.function"},contains:[F]};return{name:"JavaScript",aliases:["js","jsx","mjs","cjs"],keywords:o,exports:{PARAMS_CONTAINS:$,CLASS_REFERENCE:B},
illegal:/#(?![$_A-Za-z])/,contains:[e.SHEBANG({label:"shebang",binary:"node",relevance:5}),K,e.APOS_STRING_MODE,e.QUOTE_STRING_MODE,_,y,R,A,z,{match:/\$\d+/},b,
B,{scope:"attr",match:r+t.lookahead(":"),relevance:0},S,{begin:"("+e.RE_STARTERS_RE+"|\\b(case|return|throw)\\b)\\s*",keywords:"return throw case",relevance:0,contains:[
z,e.REGEXP_MODE,{className:"function",begin:m,returnBegin:!0,end:"\\s*=>",contains:[{className:"params",variants:[{begin:e.UNDERSCORE_IDENT_RE,relevance:0},{className:null,
begin:/\(\s*\)/,skip:!0},{begin:/(\s*)\(/,end:/\)/,excludeBegin:!0,excludeEnd:!0,keywords:o,contains:$}]}]},{begin:/,/,relevance:0},{match:/\s+/,relevance:0},{variants:[
{begin:i.begin,end:i.end},{match:l},{begin:a.begin,"on:begin":a.isTrulyOpeningTag,end:a.end}],subLanguage:"xml",contains:[{begin:a.begin,end:a.end,skip:!0,contains:[
"self"]}]}]},he,{beginKeywords:"while if switch catch for"},{begin:"\\b(?!function)"+e.UNDERSCORE_IDENT_RE+"\\([^()]*(\\([^()]*(\\([^()]*\\)[^()]*)*\\)[^()]*)*\\)\\s*\\\
{",returnBegin:!0,label:"func.def",contains:[F,e.inherit(e.TITLE_MODE,{begin:r,className:"title.function"})]},{match:/\.\.\./,relevance:0},q,{match:"\\$"+r,relevance:0},
{match:[/\bconstructor(?=\s*\()/],className:{1:"title.function"},contains:[F]},Q,be,Z,Se,{match:/\$[(.]/}]}}var rc="([-+]?)(\\b0[xX][a-fA-F0-9]+|(\\b\\d+(\\.\\d*)?|\\.\\d+)([eE][-+]?\\d+)?)|NaN|[-+]?Infinity",ic={scope:"number",match:rc,relevance:0};function cs(e){let t={
className:"attr",begin:/(("(\\.|[^\\"\r\n])*")|('(\\.|[^\\'\r\n])*'))(?=\s*:)/,relevance:1.01},n={match:/[{}[\],:]/,className:"punctuation",relevance:0},r=["tru\
e","false","null"],i={scope:"literal",beginKeywords:r.join(" ")};return{name:"JSON",aliases:["jsonc","json5"],keywords:{literal:r},contains:[t,n,e.APOS_STRING_MODE,
e.QUOTE_STRING_MODE,i,ic,e.C_LINE_COMMENT_MODE,e.C_BLOCK_COMMENT_MODE],illegal:"\\S"}}function us(e){let t=e.regex,n={begin:/<\/?[A-Za-z_]/,end:">",subLanguage:"xml",relevance:0},r={match:/^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/},i={className:"cod\
e",variants:[{begin:"(`{3,})[^`](.|\\n)*?\\1`*[ ]*"},{begin:"(~{3,})[^~](.|\\n)*?\\1~*[ ]*"},{begin:"```",end:"```+[ ]*$"},{begin:"~~~",end:"~~~+[ ]*$"},{begin:"\
`.+?`"},{begin:"(?=^( {4}|\\t))",contains:[{begin:"^( {4}|\\t)",end:"(\\n)$"}],relevance:0}]},l={className:"bullet",begin:"^[ 	]*([*+-]|(\\d+\\.))(?=\\s+)",end:"\
\\s+",excludeEnd:!0},a={begin:/^\[[^\n]+\]:/,returnBegin:!0,contains:[{className:"symbol",begin:/\[/,end:/\]/,excludeBegin:!0,excludeEnd:!0},{className:"link",begin:/:\s*/,
end:/$/,excludeBegin:!0}]},o=/[A-Za-z][A-Za-z0-9+.-]*/,c={variants:[{begin:/\[.+?\]\[.*?\]/,relevance:0},{begin:/\[.+?\]\(((data|javascript|mailto):|(?:http|ftp)s?:\/\/).*?\)/,
relevance:2},{begin:t.concat(/\[.+?\]\(/,o,/:\/\/.*?\)/),relevance:2},{begin:/\[.+?\]\([./?&#].*?\)/,relevance:1},{begin:/\[.*?\]\(.*?\)/,relevance:0}],returnBegin:!0,
contains:[{match:/\[(?=\])/},{className:"string",relevance:0,begin:"\\[",end:"\\]",excludeBegin:!0,returnEnd:!0},{className:"link",relevance:0,begin:"\\]\\(",end:"\
\\)",excludeBegin:!0,excludeEnd:!0},{className:"symbol",relevance:0,begin:"\\]\\[",end:"\\]",excludeBegin:!0,excludeEnd:!0}]},f={className:"strong",contains:[],
variants:[{begin:/_{2}(?!\s)/,end:/_{2}/},{begin:/\*{2}(?!\s)/,end:/\*{2}/}]},p={className:"emphasis",contains:[],variants:[{begin:/\*(?![*\s])/,end:/\*/},{begin:/_(?![_\s])/,
end:/_/,relevance:0}]},b=e.inherit(f,{contains:[]}),g=e.inherit(p,{contains:[]});f.contains.push(g),p.contains.push(b);let _=[n,c];return[f,p,b,g].forEach(N=>{N.
contains=N.contains.concat(_)}),_=_.concat(f,p),{name:"Markdown",aliases:["md","mkdown","mkd"],contains:[{className:"section",variants:[{begin:"^#{1,6}",end:"$",
contains:_},{begin:"(?=^.+?\\n[=-]{2,}$)",contains:[{begin:"^[=-]*$"},{begin:"^",end:"\\n",contains:_}]}]},n,l,r,f,p,{className:"quote",begin:"^>\\s+",contains:_,
end:"$"},i,c,a,{scope:"literal",match:/&([a-zA-Z0-9]+|#[0-9]{1,7}|#[Xx][0-9a-fA-F]{1,6});/}]}}function ps(e){let t=e.regex,n=/[\p{XID_Start}_]\p{XID_Continue}*/u,r=["and","as","assert","async","await","break","case","class","continue","def","del","elif",
"else","except","finally","for","from","global","if","import","in","is","lambda","lazy","match","nonlocal|10","not","or","pass","raise","return","try","while","\
with","yield"],o={$pattern:/[A-Za-z]\w+|__\w+__/,keyword:r,built_in:["__import__","abs","aiter","all","anext","any","ascii","bin","bool","breakpoint","bytearray",
"bytes","callable","chr","classmethod","compile","complex","delattr","dict","dir","divmod","enumerate","eval","exec","filter","float","format","frozendict","fro\
zenset","getattr","globals","hasattr","hash","help","hex","id","input","int","isinstance","issubclass","iter","len","list","locals","map","max","memoryview","mi\
n","next","object","oct","open","ord","pow","print","property","range","repr","reversed","round","sentinel","set","setattr","slice","sorted","staticmethod","str",
"sum","super","tuple","type","vars","zip"],literal:["__debug__","Ellipsis","False","None","NotImplemented","True"],type:["Any","Callable","Coroutine","Dict","Li\
st","Literal","Generic","Optional","Sequence","Set","Tuple","Type","Union"]},c={className:"meta",begin:/^(>>>|\.\.\.) /},f={className:"subst",begin:/\{/,end:/\}/,
keywords:o,illegal:/#/},p={begin:/\{\{/,relevance:0},b={className:"string",contains:[e.BACKSLASH_ESCAPE],variants:[{begin:/([uU]|[bB]|[rR]|[bB][rR]|[rR][bB])?'''/,
end:/'''/,contains:[e.BACKSLASH_ESCAPE,c],relevance:10},{begin:/([uU]|[bB]|[rR]|[bB][rR]|[rR][bB])?"""/,end:/"""/,contains:[e.BACKSLASH_ESCAPE,c],relevance:10},
{begin:/([fFtT][rR]|[rR][fFtT]|[fFtT])'''/,end:/'''/,contains:[e.BACKSLASH_ESCAPE,c,p,f]},{begin:/([fFtT][rR]|[rR][fFtT]|[fFtT])"""/,end:/"""/,contains:[e.BACKSLASH_ESCAPE,
c,p,f]},{begin:/([uU]|[rR])'/,end:/'/,relevance:10},{begin:/([uU]|[rR])"/,end:/"/,relevance:10},{begin:/([bB]|[bB][rR]|[rR][bB])'/,end:/'/},{begin:/([bB]|[bB][rR]|[rR][bB])"/,
end:/"/},{begin:/([fFtT][rR]|[rR][fFtT]|[fFtT])'/,end:/'/,contains:[e.BACKSLASH_ESCAPE,p,f]},{begin:/([fFtT][rR]|[rR][fFtT]|[fFtT])"/,end:/"/,contains:[e.BACKSLASH_ESCAPE,
p,f]},e.APOS_STRING_MODE,e.QUOTE_STRING_MODE]},g="[0-9](_?[0-9])*",_=`(\\b(${g}))?\\.(${g})|\\b(${g})\\.`,y=`\\b|${r.join("|")}`,R={className:"number",relevance:0,
variants:[{begin:`(\\b(${g})|(${_}))[eE][+-]?(${g})[jJ]?(?=${y})`},{begin:`(${_})[jJ]?`},{begin:`\\b([1-9](_?[0-9])*|0+(_?0)*)[lLjJ]?(?=${y})`},{begin:`\\b0[bB](\
_?[01])+[lL]?(?=${y})`},{begin:`\\b0[oO](_?[0-7])+[lL]?(?=${y})`},{begin:`\\b0[xX](_?[0-9a-fA-F])+[lL]?(?=${y})`},{begin:`\\b(${g})[jJ](?=${y})`}]},A={className:"\
comment",begin:t.lookahead(/# type:/),end:/$/,keywords:o,contains:[{begin:/# type:/},{begin:/#/,end:/\b\B/,endsWithParent:!0}]},N={className:"params",variants:[
{className:"",begin:/\(\s*\)/,skip:!0},{begin:/\(/,end:/\)/,excludeBegin:!0,excludeEnd:!0,keywords:o,contains:["self",c,R,b,e.HASH_COMMENT_MODE]}]};return f.contains=
[b,R,c],{name:"Python",aliases:["py","gyp","ipython"],unicodeRegex:!0,keywords:o,illegal:/(<\/|\?)|=>/,contains:[c,R,{scope:"variable.language",match:/\bself\b/},
{beginKeywords:"if",relevance:0},{match:/\bor\b/,scope:"keyword"},b,A,e.HASH_COMMENT_MODE,{match:[/\bdef/,/\s+/,n],scope:{1:"keyword",3:"title.function"},contains:[
N]},{variants:[{match:[/\bclass/,/\s+/,n,/\s*/,/\(\s*/,n,/\s*\)/]},{match:[/\bclass/,/\s+/,n]}],scope:{1:"keyword",3:"title.class",6:"title.class.inherited"}},{
className:"meta",begin:/^[\t ]*@/,end:/(?=#)|$/,contains:[R,N,b]}]}}function ds(e){let t=e.regex,n=/(r#)?/,r=t.concat(n,e.UNDERSCORE_IDENT_RE),i=t.concat(n,e.IDENT_RE),l={scope:"title.function.invoke",relevance:0,begin:t.concat(
/\b/,/(?!(?:let|for|while|if|else|match)\b)/,i,t.lookahead(/\s*\(/))},a="([ui](8|16|32|64|128|size)|f(16|32|64|128))?",o=["abstract","as","async","await","becom\
e","box","break","const","continue","crate","do","dyn","else","enum","extern","false","final","fn","for","if","impl","in","let","loop","macro","match","mod","mo\
ve","mut","override","priv","pub","raw","ref","return","self","Self","static","struct","super","trait","true","try","type","typeof","union","unsafe","unsized","\
use","virtual","where","while","yield"],c=["true","false","Some","None","Ok","Err"],f=["drop ","Copy","Send","Sized","Sync","Drop","Fn","FnMut","FnOnce","ToOwne\
d","Clone","Debug","PartialEq","PartialOrd","Eq","Ord","AsRef","AsMut","Into","From","Default","Iterator","Extend","IntoIterator","DoubleEndedIterator","ExactSi\
zeIterator","SliceConcatExt","ToString","assert!","assert_eq!","bitflags!","bytes!","cfg!","col!","concat!","concat_idents!","debug_assert!","debug_assert_eq!",
"env!","eprintln!","panic!","file!","format!","format_args!","include_bytes!","include_str!","line!","local_data_key!","module_path!","option_env!","print!","pr\
intln!","select!","stringify!","try!","unimplemented!","unreachable!","vec!","write!","writeln!","macro_rules!","assert_ne!","debug_assert_ne!"],p=["i8","i16","\
i32","i64","i128","isize","u8","u16","u32","u64","u128","usize","f16","f32","f64","f128","str","char","bool","Box","Option","Result","String","Vec"];return{name:"\
Rust",aliases:["rs"],keywords:{$pattern:e.IDENT_RE+"!?",type:p,keyword:o,literal:c,built_in:f},illegal:"</",contains:[e.C_LINE_COMMENT_MODE,e.COMMENT("/\\*","\\*\
/",{contains:["self"]}),e.inherit(e.QUOTE_STRING_MODE,{begin:/b?"/,illegal:null}),{scope:"symbol",begin:/'[a-zA-Z_][a-zA-Z0-9_]*(?!')/},{scope:"string",variants:[
{begin:/b?r(#*)"(.|\n)*?"\1(?!#)/},{begin:/b?'/,end:/'/,contains:[{scope:"char.escape",match:/\\('|"|\\|\w|x\w{2}|u\w{4}|U\w{8})/}]}]},{scope:"number",variants:[
{begin:"\\b0b([01_]+)"+a},{begin:"\\b0o([0-7_]+)"+a},{begin:"\\b0x([A-Fa-f0-9_]+)"+a},{begin:"\\b(\\d[\\d_]*(\\.[0-9_]+)?([eE][+-]?[0-9_]+)?)"+a}],relevance:0},
{begin:[/\bsafe/,/\s+/,/extern/],scope:{1:"keyword",3:"keyword"}},{begin:[/fn/,/\s+/,r],scope:{1:"keyword",3:"title.function"}},{scope:"meta",begin:"#!?\\[",end:"\
\\]",contains:[{scope:"string",begin:/"/,end:/"/,contains:[e.BACKSLASH_ESCAPE]}]},{begin:[/let/,/\s+/,/(?:mut\s+)?/,r],scope:{1:"keyword",3:"keyword",4:"variabl\
e"}},{begin:[/for/,/\s+/,r,/\s+/,/in/],scope:{1:"keyword",3:"variable",5:"keyword"}},{begin:[/type/,/\s+/,r],scope:{1:"keyword",3:"title.class"}},{begin:[/(?:trait|enum|struct|union|impl|for)/,
/\s+/,r],scope:{1:"keyword",3:"title.class"}},{begin:e.IDENT_RE+"::",keywords:{keyword:"Self",built_in:f,type:p}},{scope:"punctuation",begin:"->"},l]}}function fs(e){let t=e.regex,n=e.COMMENT("--","$"),r={scope:"string",variants:[{begin:/'/,end:/'/,contains:[{match:/''/}]}]},i={begin:/"/,end:/"/,contains:[{match:/""/}]},
l=["true","false","unknown"],a=["double precision","large object","with timezone","without timezone"],o=["bigint","binary","blob","boolean","char","character","\
clob","date","dec","decfloat","decimal","float","int","integer","interval","nchar","nclob","national","numeric","real","row","smallint","time","timestamp","varc\
har","varying","varbinary"],c=["add","asc","collation","desc","final","first","last","view"],f=["abs","acos","all","allocate","alter","and","any","are","array",
"array_agg","array_max_cardinality","as","asensitive","asin","asymmetric","at","atan","atomic","authorization","avg","begin","begin_frame","begin_partition","be\
tween","bigint","binary","blob","boolean","both","by","call","called","cardinality","cascaded","case","cast","ceil","ceiling","char","char_length","character","\
character_length","check","classifier","clob","close","coalesce","collate","collect","column","commit","condition","connect","constraint","contains","convert","\
copy","corr","corresponding","cos","cosh","count","covar_pop","covar_samp","create","cross","cube","cume_dist","current","current_catalog","current_date","curre\
nt_default_transform_group","current_path","current_role","current_row","current_schema","current_time","current_timestamp","current_path","current_role","curre\
nt_transform_group_for_type","current_user","cursor","cycle","date","day","deallocate","dec","decimal","decfloat","declare","default","define","delete","dense_r\
ank","deref","describe","deterministic","disconnect","distinct","double","drop","dynamic","each","element","else","empty","end","end_frame","end_partition","end\
-exec","equals","escape","every","except","exec","execute","exists","exp","external","extract","false","fetch","filter","first_value","float","floor","for","for\
eign","frame_row","free","from","full","function","fusion","get","global","grant","group","grouping","groups","having","hold","hour","identity","in","indicator",
"initial","inner","inout","insensitive","insert","int","integer","intersect","intersection","interval","into","is","join","json_array","json_arrayagg","json_exi\
sts","json_object","json_objectagg","json_query","json_table","json_table_primitive","json_value","lag","language","large","last_value","lateral","lead","leadin\
g","left","like","like_regex","listagg","ln","local","localtime","localtimestamp","log","log10","lower","match","match_number","match_recognize","matches","max",
"member","merge","method","min","minute","mod","modifies","module","month","multiset","national","natural","nchar","nclob","new","no","none","normalize","not","\
nth_value","ntile","null","nullif","numeric","octet_length","occurrences_regex","of","offset","old","omit","on","one","only","open","or","order","out","outer","\
over","overlaps","overlay","parameter","partition","pattern","per","percent","percent_rank","percentile_cont","percentile_disc","period","portion","position","p\
osition_regex","power","precedes","precision","prepare","primary","procedure","ptf","range","rank","reads","real","recursive","ref","references","referencing","\
regr_avgx","regr_avgy","regr_count","regr_intercept","regr_r2","regr_slope","regr_sxx","regr_sxy","regr_syy","release","result","return","returns","revoke","rig\
ht","rollback","rollup","row","row_number","rows","running","savepoint","scope","scroll","search","second","seek","select","sensitive","session_user","set","sho\
w","similar","sin","sinh","skip","smallint","some","specific","specifictype","sql","sqlexception","sqlstate","sqlwarning","sqrt","start","static","stddev_pop","\
stddev_samp","submultiset","subset","substring","substring_regex","succeeds","sum","symmetric","system","system_time","system_user","table","tablesample","tan",
"tanh","then","time","timestamp","timezone_hour","timezone_minute","to","trailing","translate","translate_regex","translation","treat","trigger","trim","trim_ar\
ray","true","truncate","uescape","union","unique","unknown","unnest","update","upper","user","using","value","values","value_of","var_pop","var_samp","varbinary",
"varchar","varying","versioning","when","whenever","where","width_bucket","window","with","within","without","year"],p=["abs","acos","array_agg","asin","atan","\
avg","cast","ceil","ceiling","coalesce","corr","cos","cosh","count","covar_pop","covar_samp","cume_dist","dense_rank","deref","element","exp","extract","first_v\
alue","floor","json_array","json_arrayagg","json_exists","json_object","json_objectagg","json_query","json_table","json_table_primitive","json_value","lag","las\
t_value","lead","listagg","ln","log","log10","lower","max","min","mod","nth_value","ntile","nullif","percent_rank","percentile_cont","percentile_disc","position",
"position_regex","power","rank","regr_avgx","regr_avgy","regr_count","regr_intercept","regr_r2","regr_slope","regr_sxx","regr_sxy","regr_syy","row_number","sin",
"sinh","sqrt","stddev_pop","stddev_samp","substring","substring_regex","sum","tan","tanh","translate","translate_regex","treat","trim","trim_array","unnest","up\
per","value_of","var_pop","var_samp","width_bucket"],b=["current_catalog","current_date","current_default_transform_group","current_path","current_role","curren\
t_schema","current_transform_group_for_type","current_user","session_user","system_time","system_user","current_time","localtime","current_timestamp","localtime\
stamp"],g=["create table","insert into","primary key","foreign key","not null","alter table","add constraint","grouping sets","on overflow","character set","res\
pect nulls","ignore nulls","nulls first","nulls last","depth first","breadth first"],_=p,y=[...f,...c].filter($=>!p.includes($)),R={scope:"variable",match:/@[a-z0-9][a-z0-9_]*/},
A={scope:"operator",match:/[-+*/=%^~]|&&?|\|\|?|!=?|<(?:=>?|<|>)?|>[>=]?/,relevance:0},N={match:t.concat(/\b/,t.either(..._),/\s*\(/),relevance:0,keywords:{built_in:_}};
function z($){return t.concat(/\b/,t.either(...$.map(F=>F.replace(/\s+/,"\\s+"))),/\b/)}let C={scope:"keyword",match:z(g),relevance:0};function U($,{exceptions:F,
when:Z}={}){let B=Z;return F=F||[],$.map(K=>K.match(/\|\d+$/)||F.includes(K)?K:B(K)?`${K}|0`:K)}return{name:"SQL",case_insensitive:!0,illegal:/[{}]|<\//,keywords:{
$pattern:/\b[\w\.]+/,keyword:U(y,{when:$=>$.length<3}),literal:l,type:o,built_in:b},contains:[{scope:"type",match:z(a)},C,N,R,r,i,e.C_NUMBER_MODE,e.C_BLOCK_COMMENT_MODE,
n,A]}}var fn="[A-Za-z$_][0-9A-Za-z$_]*",gs=["as","in","of","if","for","while","finally","var","new","function","do","return","void","else","break","catch","instanceof",
"with","throw","case","default","try","switch","continue","typeof","delete","let","yield","const","class","debugger","async","await","static","import","from","e\
xport","extends","using"],hs=["true","false","null","undefined","NaN","Infinity"],ms=["Object","Function","Boolean","Symbol","Math","Date","Number","BigInt","St\
ring","RegExp","Array","Float32Array","Float64Array","Int8Array","Uint8Array","Uint8ClampedArray","Int16Array","Int32Array","Uint16Array","Uint32Array","BigInt6\
4Array","BigUint64Array","Set","Map","WeakSet","WeakMap","ArrayBuffer","SharedArrayBuffer","Atomics","DataView","JSON","Promise","Generator","GeneratorFunction",
"AsyncFunction","Reflect","Proxy","Intl","WebAssembly"],bs=["Error","EvalError","InternalError","RangeError","ReferenceError","SyntaxError","TypeError","URIErro\
r"],_s=["setInterval","setTimeout","clearInterval","clearTimeout","require","exports","eval","isFinite","isNaN","parseFloat","parseInt","decodeURI","decodeURICo\
mponent","encodeURI","encodeURIComponent","escape","unescape"],Es=["arguments","this","super","console","window","document","localStorage","sessionStorage","mod\
ule","self","global"],ks=[].concat(_s,ms,bs);function sc(e){let t=e.regex,n=(x,{after:M})=>{let H="</"+x[0].slice(1);return x.input.indexOf(H,M)!==-1},r=fn,i={begin:"\
<>",end:"</>"},l=/<[A-Za-z0-9\\._:-]+\s*\/>/,a={begin:/<[A-Za-z0-9\\._:-]+/,end:/\/[A-Za-z0-9\\._:-]+>|\/>/,isTrulyOpeningTag:(x,M)=>{let H=x[0].length+x.index,
ee=x.input[H];if(ee==="<"||ee===","){M.ignoreMatch();return}ee===">"&&(n(x,{after:H})||M.ignoreMatch());let pe,_e=x.input.substring(H);if(pe=_e.match(/^\s*=/)){
M.ignoreMatch();return}if((pe=_e.match(/^\s+extends\s+/))&&pe.index===0){M.ignoreMatch();return}}},o={$pattern:fn,keyword:gs,literal:hs,built_in:ks,"variable.la\
nguage":Es},c="[0-9](_?[0-9])*",f=`\\.(${c})`,p="0|[1-9](_?[0-9])*|0[0-7]*[89][0-9]*",b={className:"number",variants:[{begin:`(\\b(${p})((${f})|\\.)?|(${f}))[eE\
][+-]?(${c})\\b`},{begin:`\\b(${p})\\b((${f})\\b|\\.)?|(${f})\\b`},{begin:"\\b(0|[1-9](_?[0-9])*)n\\b"},{begin:"\\b0[xX][0-9a-fA-F](_?[0-9a-fA-F])*n?\\b"},{begin:"\
\\b0[bB][0-1](_?[0-1])*n?\\b"},{begin:"\\b0[oO][0-7](_?[0-7])*n?\\b"},{begin:"\\b0[0-7]+n?\\b"}],relevance:0},g={className:"subst",begin:"\\$\\{",end:"\\}",keywords:o,
contains:[]},_={begin:".?html`",end:"",starts:{end:"`",returnEnd:!1,contains:[e.BACKSLASH_ESCAPE,g],subLanguage:"xml"}},y={begin:".?css`",end:"",starts:{end:"`",
returnEnd:!1,contains:[e.BACKSLASH_ESCAPE,g],subLanguage:"css"}},R={begin:".?gql`",end:"",starts:{end:"`",returnEnd:!1,contains:[e.BACKSLASH_ESCAPE,g],subLanguage:"\
graphql"}},A={className:"string",begin:"`",end:"`",contains:[e.BACKSLASH_ESCAPE,g]},z={className:"comment",variants:[e.COMMENT(/\/\*\*(?!\/)/,"\\*/",{relevance:0,
contains:[{begin:"(?=@[A-Za-z]+)",relevance:0,contains:[{className:"doctag",begin:"@[A-Za-z]+"},{className:"type",begin:"\\{",end:"\\}",excludeEnd:!0,excludeBegin:!0,
relevance:0},{className:"variable",begin:r+"(?=\\s*(-)|$)",endsParent:!0,relevance:0},{begin:/(?=[^\n])\s/,relevance:0}]}]}),e.C_BLOCK_COMMENT_MODE,e.C_LINE_COMMENT_MODE]},
C=[e.APOS_STRING_MODE,e.QUOTE_STRING_MODE,_,y,R,A,{match:/\$\d+/},b];g.contains=C.concat({begin:/\{/,end:/\}/,keywords:o,contains:["self"].concat(C)});let U=[].
concat(z,g.contains),$=U.concat([{begin:/(\s*)\(/,end:/\)/,keywords:o,contains:["self"].concat(U)}]),F={className:"params",begin:/(\s*)\(/,end:/\)/,excludeBegin:!0,
excludeEnd:!0,keywords:o,contains:$},Z={variants:[{match:[/class/,/\s+/,r,/\s+/,/extends/,/\s+/,t.concat(r,"(",t.concat(/\./,r),")*")],scope:{1:"keyword",3:"tit\
le.class",5:"keyword",7:"title.class.inherited"}},{match:[/class/,/\s+/,r],scope:{1:"keyword",3:"title.class"}}]},B={relevance:0,match:t.either(/\bJSON/,/\b[A-Z][a-z]+([A-Z][a-z]*|\d)*/,
/\b[A-Z]{2,}([A-Z][a-z]+|\d)+([A-Z][a-z]*)*/,/\b[A-Z]{2,}[a-z]+([A-Z][a-z]+|\d)*([A-Z][a-z]*)*/),className:"title.class",keywords:{_:[...ms,...bs]}},K={label:"u\
se_strict",className:"meta",relevance:10,begin:/^\s*['"]use (strict|asm)['"]/},he={variants:[{match:[/function/,/\s+/,r,/(?=\s*\()/]},{match:[/function/,/\s*(?=\()/]}],
className:{1:"keyword",3:"title.function"},label:"func.def",contains:[F],illegal:/%/},be={relevance:0,match:/\b[A-Z][A-Z_0-9]+\b/,className:"variable.constant"};
function Re(x){return t.concat("(?!",x.join("|"),")")}let Q={match:t.concat(/\b/,Re([..._s,"super","import","await"].map(x=>`${x}\\s*\\(`)),r,t.lookahead(/\s*\(/)),
className:"title.function",relevance:0},q={begin:t.concat(/\./,t.lookahead(t.concat(r,/(?![0-9A-Za-z$_(])/))),end:r,excludeBegin:!0,keywords:"prototype",className:"\
property",relevance:0},Se={match:[/get|set/,/\s+/,r,/(?=\()/],className:{1:"keyword",3:"title.function"},contains:[{begin:/\(\)/},F]},m="(\\([^()]*(\\([^()]*(\\([^\
()]*\\)[^()]*)*\\)[^()]*)*\\)|"+e.UNDERSCORE_IDENT_RE+")\\s*=>",S={match:[/const|var|let/,/\s+/,r,/\s*/,/=\s*/,/(async\s*)?/,t.lookahead(m)],keywords:"async",className:{
1:"keyword",3:"title.function"},contains:[F]};return{name:"JavaScript",aliases:["js","jsx","mjs","cjs"],keywords:o,exports:{PARAMS_CONTAINS:$,CLASS_REFERENCE:B},
illegal:/#(?![$_A-Za-z])/,contains:[e.SHEBANG({label:"shebang",binary:"node",relevance:5}),K,e.APOS_STRING_MODE,e.QUOTE_STRING_MODE,_,y,R,A,z,{match:/\$\d+/},b,
B,{scope:"attr",match:r+t.lookahead(":"),relevance:0},S,{begin:"("+e.RE_STARTERS_RE+"|\\b(case|return|throw)\\b)\\s*",keywords:"return throw case",relevance:0,contains:[
z,e.REGEXP_MODE,{className:"function",begin:m,returnBegin:!0,end:"\\s*=>",contains:[{className:"params",variants:[{begin:e.UNDERSCORE_IDENT_RE,relevance:0},{className:null,
begin:/\(\s*\)/,skip:!0},{begin:/(\s*)\(/,end:/\)/,excludeBegin:!0,excludeEnd:!0,keywords:o,contains:$}]}]},{begin:/,/,relevance:0},{match:/\s+/,relevance:0},{variants:[
{begin:i.begin,end:i.end},{match:l},{begin:a.begin,"on:begin":a.isTrulyOpeningTag,end:a.end}],subLanguage:"xml",contains:[{begin:a.begin,end:a.end,skip:!0,contains:[
"self"]}]}]},he,{beginKeywords:"while if switch catch for"},{begin:"\\b(?!function)"+e.UNDERSCORE_IDENT_RE+"\\([^()]*(\\([^()]*(\\([^()]*\\)[^()]*)*\\)[^()]*)*\\)\\s*\\\
{",returnBegin:!0,label:"func.def",contains:[F,e.inherit(e.TITLE_MODE,{begin:r,className:"title.function"})]},{match:/\.\.\./,relevance:0},q,{match:"\\$"+r,relevance:0},
{match:[/\bconstructor(?=\s*\()/],className:{1:"title.function"},contains:[F]},Q,be,Z,Se,{match:/\$[(.]/}]}}function Ts(e){let t=e.regex,n=sc(e),r=fn,i=["any","\
void","number","boolean","string","object","never","symbol","bigint","unknown"],l={begin:[/namespace/,/\s+/,e.IDENT_RE],beginScope:{1:"keyword",3:"title.class"}},
a={beginKeywords:"interface",end:/\{/,excludeEnd:!0,keywords:{keyword:"interface extends",built_in:i},contains:[n.exports.CLASS_REFERENCE]},o={className:"meta",
relevance:10,begin:/^\s*['"]use strict['"]/},c=["type","interface","public","private","protected","implements","declare","abstract","readonly","enum","override",
"satisfies"],f={$pattern:fn,keyword:gs.concat(c),literal:hs,built_in:ks.concat(i),"variable.language":Es},p={className:"meta",begin:"@"+r},b=(R,A,N)=>{let z=R.contains.
findIndex(C=>C.label===A);if(z===-1)throw new Error("can not find mode to replace");R.contains.splice(z,1,N)};Object.assign(n.keywords,f),n.exports.PARAMS_CONTAINS.
push(p);let g=n.contains.find(R=>R.scope==="attr"),_=Object.assign({},g,{match:t.concat(r,t.lookahead(/\s*\?:/))});n.exports.PARAMS_CONTAINS.push([n.exports.CLASS_REFERENCE,
g,_]),n.contains=n.contains.concat([p,l,a,_]),b(n,"shebang",e.SHEBANG()),b(n,"use_strict",o);let y=n.contains.find(R=>R.label==="func.def");return y.relevance=0,
Object.assign(n,{name:"TypeScript",aliases:["ts","tsx","mts","cts"]}),n}function ys(e){let t=e.regex,n=t.concat(/[\p{L}_]/u,t.optional(/[\p{L}0-9_.-]*:/u),/[\p{L}0-9_.-]*/u),r=/[\p{L}0-9._:-]+/u,i={className:"symbol",begin:/&[a-z]+;|&#[0-9]+;|&#x[a-f0-9]+;/},
l={begin:/\s/,contains:[{className:"keyword",begin:/#?[a-z_][a-z1-9_-]+/,illegal:/\n/}]},a=e.inherit(l,{begin:/\(/,end:/\)/}),o=e.inherit(e.APOS_STRING_MODE,{className:"\
string"}),c=e.inherit(e.QUOTE_STRING_MODE,{className:"string"}),f={endsWithParent:!0,illegal:/</,relevance:0,contains:[{className:"attr",begin:r,relevance:0},{begin:/=\s*/,
relevance:0,contains:[{className:"string",endsParent:!0,variants:[{begin:/"/,end:/"/,contains:[i]},{begin:/'/,end:/'/,contains:[i]},{begin:/[^\s"'=<>`]+/}]}]}]};
return{name:"HTML, XML",aliases:["html","xhtml","rss","atom","xjb","xsd","xsl","plist","wsf","svg"],case_insensitive:!0,unicodeRegex:!0,contains:[{className:"me\
ta",begin:/<![a-z]/,end:/>/,relevance:10,contains:[l,c,o,a,{begin:/\[/,end:/\]/,contains:[{className:"meta",begin:/<![a-z]/,end:/>/,contains:[l,a,c,o]}]}]},e.COMMENT(
/<!--/,/-->/,{relevance:10}),{begin:/<!\[CDATA\[/,end:/\]\]>/,relevance:10},i,{className:"meta",end:/\?>/,variants:[{begin:/<\?xml/,relevance:10,contains:[c]},{
begin:/<\?[a-z][a-z0-9]+/}]},{className:"tag",begin:/<style(?=\s|>)/,end:/>/,keywords:{name:"style"},contains:[f],starts:{end:/<\/style>/,returnEnd:!0,subLanguage:"\
css"}},{className:"tag",begin:/<script(?=\s|>)/,end:/>/,keywords:{name:"script"},contains:[f],starts:{end:/<\/script>/,returnEnd:!0,subLanguage:"javascript"}},{
className:"tag",begin:/<>|<\/>/},{className:"tag",begin:t.concat(/</,t.lookahead(t.concat(n,t.either(/\/>/,/>/,/\s/)))),end:/\/?>/,contains:[{className:"name",begin:n,
relevance:0,starts:f}]},{className:"tag",begin:t.concat(/<\//,t.lookahead(t.concat(n,/>/))),contains:[{className:"name",begin:n,relevance:0},{begin:/>/,relevance:0,
endsParent:!0}]}]}}function Ss(e){let t="true false yes no null",n="[\\w#;/?:@&=+$,.~*'()[\\]]+",r={className:"attr",variants:[{begin:/[\w*@][\w*@ :()\./-]*:(?=[ \t]|$)/},{begin:/"[\w*@][\w*@ :()\./-]*":(?=[ \t]|$)/},
{begin:/'[\w*@][\w*@ :()\./-]*':(?=[ \t]|$)/}]},i={className:"template-variable",variants:[{begin:/\{\{/,end:/\}\}/},{begin:/%\{/,end:/\}/}]},l={className:"stri\
ng",relevance:0,begin:/'/,end:/'/,contains:[{match:/''/,scope:"char.escape",relevance:0}]},a={className:"string",relevance:0,variants:[{begin:/"/,end:/"/},{begin:/\S+/}],
contains:[e.BACKSLASH_ESCAPE,i]},o=e.inherit(a,{variants:[{begin:/'/,end:/'/,contains:[{begin:/''/,relevance:0}]},{begin:/"/,end:/"/},{begin:/[^\s,{}[\]]+/}]}),
g={className:"number",begin:"\\b"+"[0-9]{4}(-[0-9][0-9]){0,2}"+"([Tt \\t][0-9][0-9]?(:[0-9][0-9]){2})?"+"(\\.[0-9]*)?"+"([ \\t])*(Z|[-+][0-9][0-9]?(:[0-9][0-9])?\
)?"+"\\b"},_={end:",",endsWithParent:!0,excludeEnd:!0,keywords:t,relevance:0},y={begin:/\{/,end:/\}/,contains:[_],illegal:"\\n",relevance:0},R={begin:"\\[",end:"\
\\]",contains:[_],illegal:"\\n",relevance:0},A=[r,{className:"meta",begin:"^---\\s*$",relevance:10},{className:"string",begin:"[\\|>]([1-9]?[+-])?[ ]*\\n( +)[^ ][\
^\\n]*\\n(\\2[^\\n]+\\n?)*"},{begin:"<%[%=-]?",end:"[%-]?%>",subLanguage:"ruby",excludeBegin:!0,excludeEnd:!0,relevance:0},{className:"type",begin:"!\\w+!"+n},{
className:"type",begin:"!<"+n+">"},{className:"type",begin:"!"+n},{className:"type",begin:"!!"+n},{className:"meta",begin:"&"+e.UNDERSCORE_IDENT_RE+"$"},{className:"\
meta",begin:"\\*"+e.UNDERSCORE_IDENT_RE+"$"},{className:"bullet",begin:"-(?=[ ]|$)",relevance:0},e.HASH_COMMENT_MODE,{beginKeywords:t,keywords:{literal:t}},g,{className:"\
number",begin:e.C_NUMBER_RE+"\\b",relevance:0},y,R,l,a],N=[...A];return N.pop(),N.push(o),_.contains=N,{name:"YAML",case_insensitive:!0,aliases:["yml"],contains:A}}ge.registerLanguage("bash",Xi);ge.registerLanguage("c",Vi);ge.registerLanguage("cpp",Qi);ge.registerLanguage("css",ji);ge.registerLanguage("diff",Ji);ge.registerLanguage(
"go",es);ge.registerLanguage("java",rs);ge.registerLanguage("javascript",ls);ge.registerLanguage("json",cs);ge.registerLanguage("markdown",us);ge.registerLanguage(
"python",ps);ge.registerLanguage("rust",ds);ge.registerLanguage("sql",fs);ge.registerLanguage("typescript",Ts);ge.registerLanguage("xml",ys);ge.registerLanguage(
"yaml",Ss);export{tl as DOMPurify,si as Marked,ge as hljs};
