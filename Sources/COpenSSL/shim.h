// Function-like macros of OpenSSL, which Swift cannot see, as functions of the same meaning.
#pragma once
#include <openssl/ssl.h>
