-- Makes every answer to an HTTP caller look like one of OpenAI's.
--
-- Runs after the transcoder has had the response, for HTTP callers only: routes of native gRPC go without. Two cases:
--   * an error: the gateway says status and body in the trailing metadata x-http-status and x-error-body;
--     an error without them comes from Envoy or from gRPC itself and gets its body from REPLIES;
--   * success: the headers that the gateway put into the content type are taken out of it.
-- What every answer gets or loses is done without Lua (`headers.py`), which costs less. There is nothing here for
-- requests: Lua would leave garbage for each of them, which nobody collects when callers come and go without an answer.
-- MAX_BODY_BYTES and HEADERS, the names of the gateway's own headers, are put in front of this text when the
-- configuration is rendered.

local REPLIES = {
  [400] = {"invalid_request_error", nil, "The request is malformed."},
  [401] = {"invalid_request_error", nil, "No valid API key was sent."},
  [403] = {"invalid_request_error", "permission_denied", "This is not allowed for this API key."},
  [404] = {"invalid_request_error", nil, "There is no such route. Check the path of the request."},
  [405] = {"invalid_request_error", "method_not_allowed", "This route does not take this HTTP method."},
  [408] = {"invalid_request_error", "timeout", "The request did not arrive in time."},
  [413] = {"invalid_request_error", "request_too_large",
           "The request body is larger than " .. MAX_BODY_BYTES .. " bytes."},
  [429] = {"requests", "rate_limit_exceeded", "Too many requests."},
  [431] = {"invalid_request_error", "request_too_large", "The request headers are too large."},
  [500] = {"server_error", nil, "The gateway failed to answer."},
  [501] = {"invalid_request_error", "unsupported", "The gateway does not support this."},
  [502] = {"server_error", nil, "The connection to the gateway broke off."},
  [503] = {"service_unavailable_error", "server_is_overloaded", "No worker of the gateway is there to answer. Try again soon."},
  [504] = {"server_error", "timeout", "The gateway did not answer in time."},
}
local UNKNOWN_CALLER_ERROR = {"invalid_request_error", nil, "The request was refused."}

local ESCAPES = {['"'] = '\\"', ["\\"] = "\\\\"}

local function quoted(text)
  if text == nil then
    return "null"
  end
  -- Envoy's texts can quote the caller's bytes, which need not be UTF-8.
  return '"' .. text:gsub('["\\]', ESCAPES):gsub("%c", " "):gsub("[\128-\255]", "?") .. '"'
end

local function own_body(status, text)
  local row = REPLIES[status] or (status >= 500 and REPLIES[500]) or UNKNOWN_CALLER_ERROR
  local message = row[3]
  -- Only here does Envoy know more: the transcoder names what is wrong with a JSON body.
  if status == 400 and text ~= "" then
    message = text
  end
  return '{"error":{"message":' .. quoted(message) .. ',"type":' .. quoted(row[1])
    .. ',"param":null,"code":' .. quoted(row[2]) .. "}}"
end

local function answer_error(handle, status)
  local headers = handle:headers()
  if status == 404 then
    -- Only a request that the transcoder did not take is still on a route with this metadata.
    local allow = handle:metadata():get("allow")
    if allow ~= nil then
      status = 405
      headers:add("allow", allow)
    end
  end
  if status == 499 then
    -- gRPC's CANCELLED. A caller who cancelled sees no answer; one who does met a server that was just stopping.
    status = 503
  end
  local text = headers:get("x-error-body")
  status = tonumber(headers:get("x-http-status") or status)
  -- A reply of Envoy's own has a text, except to HEAD, and that must stay so. The gateway's has none yet.
  local body = handle:body(headers:get("grpc-status") ~= nil)
  headers = handle:headers() -- body() may yield, which ends the life of the first object
  if body == nil then
    headers:remove("content-length")
  else
    if text == nil then
      local length = body:length()
      text = own_body(status, length > 0 and body:getBytes(0, length):gsub("%s+$", "") or "")
    end
    body:setBytes(text)
    headers:replace("content-length", tostring(#text))
  end
  headers:replace(":status", tostring(status))
  headers:replace("content-type", "application/json")
  if status == 503 and headers:get("retry-after") == nil then
    headers:add("retry-after", "1")
  end
  headers:remove("x-http-status")
  headers:remove("x-error-body")
end

local CARRIED = '; llmgateway-headers="'
local VALUES = "^" .. ("([^,]*),"):rep(#HEADERS - 1) .. '([^&"]*)'

local function from_hex(digits)
  return string.char(tonumber(digits, 16))
end

local function add_own(headers, ...)
  for place, name in ipairs(HEADERS) do
    local value = select(place, ...)
    if value ~= "" then
      headers:add(name, value)
    end
  end
end

-- The gateway's own headers come in the content type, which costs it less than metadata of their own: their values by
-- their places, which costs less than names, and behind them those of the vendor by name. No name comes twice.
local function unpack_headers(headers, content_type)
  local start, last = content_type:find(CARRIED, 1, true)
  if start == nil then
    return
  end
  headers:replace("content-type", content_type:sub(1, start - 1))
  add_own(headers, content_type:match(VALUES, last + 1))
  local vendor = content_type:find("&", last, true)
  if vendor ~= nil then
    for name, value in content_type:sub(vendor, -2):gmatch("&([^=]+)=([^&]*)") do
      headers:add(name, (value:gsub("%%(%x%x)", from_hex)))
    end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = tonumber(headers:get(":status"))
  if status >= 400 then
    answer_error(handle, status)
    return
  end
  local content_type = headers:get("content-type")
  if content_type ~= nil then
    unpack_headers(headers, content_type)
  end
  if headers:get("content-length") == nil then
    headers:add("x-accel-buffering", "no") -- nginx in front would hold a stream back
  end
end
